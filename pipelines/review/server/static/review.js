// The review page: shows links, plays clips, sends decisions. No library, no build step.
import { api, send } from "./api.js";
import { Player } from "./player.js";

const main = document.getElementById("link");
const status = document.getElementById("status");
const into = document.getElementById("into");
const player = new Player(main);
const dialogs = Object.fromEntries([...document.querySelectorAll("dialog")].map((dialog) => [dialog.id, dialog]));
const tab = (sessionStorage.tab ||= Math.random().toString(36).slice(2));

let current = null; // the link on the screen
let upcoming = null; // the one after it, already here
let choice = {}; // category, relation and note for the current link
let fetched = 0; // number of the newest prefetch; older answers are dropped
const skipped = new Set(); // links passed over with "next"
const sending = new Set(); // links decided here whose answer is on its way

// Showing -------------------------------------------------------------------------------------------------------

function show(link) {
  player.stop();
  current = link;
  choice = {};
  if (link) main.innerHTML = link.html; // escaped by the server
  else main.innerHTML = '<div class="empty"><h1>Nothing left to decide</h1><p class="detail">Every link that waits for you is answered. <a href="/progress">See how it went</a>.</p></div>';
  document.body.classList.toggle("decided", !link || !["open", "third"].includes(link.state));
  showCategory();
  main.scrollTop = 0;
  window.scrollTo(0, 0);
}

function showCategory() {
  const category = choice.category || current?.category || "";
  into.textContent = category && `into ${category}`;
  for (const place of main.querySelectorAll(".impact .into")) place.textContent = category;
}

function say(text, kind = "") {
  status.textContent = text;
  status.className = kind;
}

function showProgress({ mine, waiting }) {
  document.getElementById("mine").textContent = mine;
  document.getElementById("waiting").textContent = waiting;
  Object.assign(document.getElementById("progress"), { max: mine + waiting || 1, value: mine });
}

async function fetchNext(extra = []) {
  const skip = [...skipped, ...sending, ...extra].join(",");
  const answer = await api(`/api/next?tab=${tab}&skip=${skip}`);
  if (answer.link || !skipped.size) return answer;
  skipped.clear(); // all others are done: the ones passed over come again
  return fetchNext(extra);
}

async function load() {
  const answer = await fetchNext();
  showProgress(answer.progress);
  show(answer.link);
  prefetch();
}

async function prefetch() {
  const number = ++fetched;
  upcoming = null;
  if (!current) return;
  const { link } = await fetchNext([current.id]).catch(() => ({ link: null }));
  if (number !== fetched || !link) return;
  upcoming = link;
  const held = document.createElement("template");
  held.innerHTML = link.html;
  for (const image of held.content.querySelectorAll("img")) new Image().src = image.getAttribute("src");
  player.warm(held.content.querySelector(".play")?.dataset.src);
}

async function advance() {
  if (!upcoming) return load();
  show(upcoming);
  prefetch();
}

// What a link adds depends on the links accepted before it.
async function refreshImpact() {
  const link = current;
  if (!link) return;
  const answer = await api(`/api/link/${link.id}`);
  if (current !== link || !answer.link) return;
  const held = document.createElement("template");
  held.innerHTML = answer.link.html;
  main.querySelector(".impact")?.replaceWith(held.content.querySelector(".impact"));
  link.category = answer.link.category;
  showCategory();
}

// Deciding ------------------------------------------------------------------------------------------------------

function decide(verdict) {
  const link = current;
  if (!link || sending.has(link.id)) return;
  if (!["open", "third"].includes(link.state)) return say(`${link.name} is answered: u takes your answer back`, "bad");
  const body = { verdict, revision: link.revision, ...choice };
  sending.add(link.id);
  const moved = advance();
  return send(`/api/link/${link.id}/decision`, body, (text) => say(text, "bad"))
    .then(async (answer) => {
      sending.delete(link.id);
      showProgress(answer.progress);
      say(`${{ accept: "Accepted", reject: "Rejected", defer: "Deferred" }[verdict]}: ${link.name}`, verdict);
      await moved;
      if (!current) return load();
      if (verdict === "accept") return Promise.all([refreshImpact(), prefetch()]);
    })
    .catch(async (error) => {
      sending.delete(link.id);
      say(error.message, "bad");
      await moved;
      if (error.status !== 409) show(link); // nobody has decided it: it stays
      else if (!current) load();
    });
}

async function undo() {
  await send("/api/undo", {}, (text) => say(text, "bad"))
    .then((answer) => {
      const before = current;
      showProgress(answer.progress);
      skipped.delete(answer.link.id);
      show(answer.link);
      fetched++;
      upcoming = before && before.id !== answer.link.id ? before : null;
      if (!upcoming) prefetch();
      say(`Took back: ${answer.undone} of ${answer.link.name}`);
    })
    .catch((error) => say(error.message, "bad"));
}

function next() {
  if (!current) return load();
  skipped.add(current.id);
  return advance();
}

// Dialogs -------------------------------------------------------------------------------------------------------

function open(id) {
  player.stop();
  dialogs[id].showModal();
}

function openCategory() {
  if (!current) return;
  const form = dialogs.category.querySelector("form");
  form.category.value = choice.category || "";
  form.category.placeholder = current.category;
  form.relation.value = choice.relation || "same";
  form.note.value = choice.note || "";
  open("category");
}

function submits(id, handler) {
  const form = dialogs[id].querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await handler(form);
  });
}

submits("help", () => dialogs.help.close());
submits("category", (form) => {
  const category = form.category.value.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "");
  choice = { category, relation: form.relation.value, note: form.note.value.trim() };
  dialogs.category.close();
  showCategory();
});
submits("name", async (form) => {
  try {
    const answer = await send("/api/reviewer", { name: form.name.value });
    document.getElementById("reviewer").textContent = answer.reviewer;
    document.querySelector(".standing").hidden = false;
    main.dataset.reviewer = answer.reviewer;
    dialogs.name.close();
    form.name.setCustomValidity("");
    await load();
  } catch (error) {
    form.name.setCustomValidity(error.message);
    form.reportValidity();
  }
});
dialogs.name.querySelector("input").addEventListener("input", (event) => event.target.setCustomValidity(""));
dialogs.name.addEventListener("cancel", (event) => {
  if (!main.dataset.reviewer) event.preventDefault();
});
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

const found = document.getElementById("found");
const query = dialogs.search.querySelector("input");
let searches = 0;
let listed = Promise.resolve(); // done when the list is that of the last letter typed

async function search() {
  const number = ++searches;
  const labels = query.value.trim() ? await api(`/api/search?q=${encodeURIComponent(query.value)}`) : [];
  if (number !== searches) return;
  found.replaceChildren(
    ...labels.map((label, place) => {
      const row = document.createElement("li");
      row.role = "option";
      row.ariaSelected = String(place === 0);
      const name = document.createElement("b");
      name.textContent = label.name.replaceAll("_", " ");
      const about = document.createElement("small");
      about.textContent = `${label.source_name} · ${label.images.toLocaleString("en")} photos${label.about ? " · " + label.about : ""}`;
      row.append(name, about);
      row.addEventListener("click", () => openTarget(label));
      row.label = label;
      return row;
    }),
  );
}

async function openTarget(label) {
  dialogs.search.close();
  try {
    const { source, source_id } = label;
    const answer = await send(`/api/link/${current.id}/target`, { source, source_id });
    const before = current;
    show(answer.link);
    fetched++;
    upcoming = before.id === answer.link.id ? null : before;
    if (!upcoming) prefetch();
    say(`Now ${answer.link.name}; the link before comes next`);
  } catch (error) {
    say(error.message, "bad");
  }
}

query.addEventListener("input", () => (listed = search()));
query.addEventListener("keydown", (event) => {
  const rows = [...found.children];
  const at = rows.findIndex((row) => row.ariaSelected === "true");
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
  if (to === undefined || !rows[to]) return;
  event.preventDefault();
  rows[at].ariaSelected = "false";
  rows[to].ariaSelected = "true";
  rows[to].scrollIntoView({ block: "nearest" });
});
submits("search", async () => {
  await listed;
  const row = [...found.children].find((candidate) => candidate.ariaSelected === "true");
  if (row) return openTarget(row.label);
});

function openSearch() {
  if (!current) return;
  query.value = "";
  found.replaceChildren();
  open("search");
}

// Keys and buttons ----------------------------------------------------------------------------------------------

const actions = {
  accept: () => decide("accept"),
  reject: () => decide("reject"),
  defer: () => decide("defer"),
  undo,
  next,
  category: openCategory,
  search: openSearch,
  help: () => open("help"),
  masks: () => document.body.classList.toggle("bare"),
  play: () => player.toggle(),
};
const keys = { a: "accept", r: "reject", d: "defer", u: "undo", n: "next", c: "category", "/": "search", "?": "help", m: "masks", " ": "play" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === " " && event.target.closest("button, a")) return;
  const clip = /^[1-9]$/.test(event.key);
  if (!clip && !keys[event.key]) return;
  event.preventDefault();
  if (event.repeat) return;
  if (clip) player.play(Number(event.key) - 1);
  else actions[keys[event.key]]();
});
for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", () => actions[button.dataset.do]());
}
main.addEventListener("click", (event) => {
  const button = event.target.closest(".play");
  if (button) player.play([...main.querySelectorAll(".play")].indexOf(button));
});
document.getElementById("reviewer").addEventListener("click", () => open("name"));
window.addEventListener("beforeunload", (event) => {
  if (sending.size) event.preventDefault(); // a decision has not reached the queue yet
});

if (!main.dataset.reviewer) {
  open("name");
} else if (main.dataset.wanted) {
  api(`/api/link/${main.dataset.wanted}`)
    .then((answer) => (show(answer.link), prefetch()))
    .catch((error) => say(error.message, "bad"));
} else {
  load().catch((error) => say(error.message, "bad"));
}
