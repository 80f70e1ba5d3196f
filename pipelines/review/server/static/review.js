// The review page: shows links, plays clips, sends decisions. No library, no build step.
import { api } from "./api.js";
import { Player } from "./player.js";

const main = document.getElementById("link");
const status = document.getElementById("status");
const into = document.getElementById("into");
const player = new Player(main);
const dialogs = Object.fromEntries([...document.querySelectorAll("dialog")].map((dialog) => [dialog.id, dialog]));
const tab = (sessionStorage.tab ||= Math.random().toString(36).slice(2));
const title = document.title;
const said = { accept: "Accepted", reject: "Rejected", defer: "Deferred" };

let current = null; // the link on the screen
let choice = {}; // category, relation and note for the current link
let back = null; // the id of a link to come back to
let busy = false; // while the link on the screen is being answered or changed: one thing at a time
let unsaved = false; // a change is on its way
const skipped = new Set(); // links passed over with "next"

// Showing -------------------------------------------------------------------------------------------------------

const waits = (link) => ["open", "third"].includes(link.state);

// The address names the link, so that it can be kept, sent, and gone back to. The focus goes to its heading: a screen
// reader says that another link is here, and no button keeps the next press of a key.
function show(link, moved = "push", empty = "done") {
  player.stop();
  current = link;
  choice = {};
  main.innerHTML = link ? link.html : document.getElementById(empty).innerHTML; // escaped by the server
  document.title = link ? `${link.name} · ${title}` : title;
  document.body.classList.toggle("decided", !link || !waits(link));
  const address = link ? `/link/${link.id}` : "/";
  if (moved && location.pathname !== address) {
    const depth = (history.state?.depth || 0) + (moved === "push" ? 1 : 0);
    history[`${moved}State`]({ depth }, "", address);
  }
  showCategory();
  focusLink();
  main.scrollTop = 0;
  window.scrollTo(0, 0);
}

function focusLink() {
  if (!document.querySelector("dialog[open]")) main.querySelector("h1")?.focus({ preventScroll: true });
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

// One thing at a time: what is pressed while a link is being answered is meant for that link, and decides no other.
async function alone(work) {
  if (busy) return;
  busy = true;
  document.body.classList.add("busy");
  try {
    await work();
  } catch (error) {
    say(error.message, "bad");
  } finally {
    busy = unsaved = false;
    document.body.classList.remove("busy");
  }
}

async function askNext(on, waiting) {
  const query = `tab=${tab}&on=${on?.id ?? ""}&skip=`;
  const answer = await api(`/api/next?${query}${[...skipped].join(",")}`, undefined, waiting);
  if (answer.link || !skipped.size) return answer;
  skipped.clear(); // all others are done: the ones passed over come again
  return api(`/api/next?${query}`, undefined, waiting);
}

// What comes after the link on the screen: the one to come back to, or what the queue asks next. `done` was said before.
async function goOn(done = "", kind = "", moved = "push") {
  const waiting = (why) => say(`${done && `${done}. `}${why.message}: waiting for the next link`, "bad");
  let link = null;
  let empty;
  if (back && back !== current?.id) ({ link } = await api(`/api/link/${back}`, undefined, waiting));
  back = null;
  if (!link || !waits(link)) {
    const stays = current && waits(current);
    const answer = await askNext(stays && current, waiting);
    showProgress(answer.progress);
    link = answer.link;
    if (!link && stays) return say("No other link waits for you: this is the last one");
    if (answer.held) setTimeout(() => current || alone(() => goOn()), 2000);
    empty = answer.held ? "held" : "done";
  }
  show(link, moved, empty);
  say(done, kind);
  prefetch();
}

// Fetch the photos and the sound of the next link ahead.
async function prefetch() {
  if (!current) return;
  const { link } = await askNext(current).catch(() => ({}));
  if (!link) return;
  const held = document.createElement("template");
  held.innerHTML = link.html;
  for (const image of held.content.querySelectorAll("img")) new Image().src = image.getAttribute("src");
  player.warm(held.content.querySelector(".play")?.dataset.src);
}

// Deciding ------------------------------------------------------------------------------------------------------

function decide(verdict) {
  focusLink();
  return alone(async () => {
    const link = current;
    if (!link) return;
    if (!waits(link)) return say(`${link.name} is decided: ${link.mine ? "u takes your answer back" : "n goes on"}`, "bad");
    const body = { verdict, revision: link.revision, ...choice };
    unsaved = true;
    let answer;
    try {
      answer = await api(`/api/link/${link.id}/decision`, body, (why) =>
        say(`Not saved yet: ${verdict} ${link.name}. ${why.message}; trying again`, "bad"),
      );
    } catch (error) {
      if (error.status !== 409) throw error; // nobody has decided it: it stays
      unsaved = false;
      return goOn(error.message, "bad");
    }
    unsaved = false;
    link.state = "answered"; // but for a deferred one, which comes again
    showProgress(answer.progress);
    const done = `${said[verdict]}: ${link.name}`;
    say(done, verdict);
    await goOn(done, verdict);
  });
}

// Of an answered link on the screen my answer, else the newest that I gave.
function undo() {
  focusLink();
  return alone(async () => {
    unsaved = true;
    const before = current;
    const body = before && !waits(before) && before.mine ? { decision: before.mine } : {};
    const answer = await api("/api/undo", body, (why) => say(`Not taken back yet. ${why.message}; trying again`, "bad"));
    unsaved = false;
    showProgress(answer.progress);
    skipped.delete(answer.link.id);
    if (before && before.id !== answer.link.id) back = before.id;
    show(answer.link);
    say(`Took back: ${answer.undone} of ${answer.link.name}`);
    prefetch();
  });
}

function next() {
  focusLink();
  return alone(() => {
    if (current && waits(current)) skipped.add(current.id);
    return goOn();
  });
}

function previous() {
  focusLink();
  if (busy) return;
  if (history.state?.depth) history.back();
  else say("No link was here before this one");
}

function showNamed(id, moved) {
  return alone(async () => {
    const answer = await api(`/api/link/${id}`, undefined, (why) => say(`${why.message}; trying again`, "bad"));
    showProgress(answer.progress);
    show(answer.link, moved);
    say("");
    prefetch();
  });
}

window.addEventListener("popstate", () => {
  const id = /^\/link\/(\d+)$/.exec(location.pathname)?.[1];
  if (busy && current) history.pushState({ depth: (history.state?.depth || 0) + 1 }, "", `/link/${current.id}`);
  else if (id) showNamed(id, "");
  else alone(() => goOn("", "", "replace"));
});

// Photos that did not come while the network was away.
window.addEventListener("online", () => {
  for (const image of main.querySelectorAll("img")) if (image.complete && !image.naturalWidth) image.src = image.src;
});

// Dialogs -------------------------------------------------------------------------------------------------------

function open(id) {
  if (busy) return;
  player.stop();
  dialogs[id].showModal();
}

for (const dialog of Object.values(dialogs)) {
  dialog.addEventListener("close", focusLink);
  dialog.addEventListener("click", (event) => {
    const box = dialog.getBoundingClientRect(); // a touch beside the dialog closes it
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (event.target === dialog && !inside && (dialog.id !== "name" || main.dataset.reviewer)) dialog.close();
  });
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
    const answer = await api("/api/reviewer", { name: form.name.value });
    document.querySelector("#reviewer .name").textContent = answer.reviewer;
    document.querySelector(".standing").hidden = false;
    main.dataset.reviewer = answer.reviewer;
    form.name.setCustomValidity("");
    dialogs.name.close();
    start();
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
const hint = document.getElementById("found-none");
const query = dialogs.search.querySelector("input");
let searches = 0;
let listed = Promise.resolve(); // done when the list is that of the last letter typed

async function search() {
  const number = ++searches;
  let labels = [];
  try {
    if (query.value.trim()) labels = await api(`/api/search?q=${encodeURIComponent(query.value)}`);
    hint.textContent = "";
  } catch (error) {
    hint.textContent = error.message;
  }
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

function openTarget(label) {
  dialogs.search.close();
  return alone(async () => {
    const before = current;
    const { source, source_id } = label;
    const answer = await api(`/api/link/${before.id}/target`, { source, source_id });
    if (before.id !== answer.link.id) back = before.id;
    show(answer.link);
    say(`Now ${answer.link.name}; the link before comes next`);
    prefetch();
  });
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
  previous,
  category: openCategory,
  search: openSearch,
  help: () => open("help"),
  masks: () => document.body.classList.toggle("bare"),
  play: () => player.toggle(),
};
const keys = { a: "accept", r: "reject", d: "defer", u: "undo", n: "next", p: "previous", c: "category", "/": "search", "?": "help", m: "masks", " ": "play" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
  if (event.key === " " && event.target.closest("button, a, summary")) return;
  const clip = /^[1-9]$/.test(event.key);
  if (!clip && !keys[event.key]) return;
  event.preventDefault();
  if (event.repeat) return;
  if (clip) player.play(Number(event.key) - 1);
  else actions[keys[event.key]]();
});
for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", (event) => {
    if (event.detail < 2) actions[button.dataset.do](); // the second click of a double click meets a link not yet seen
  });
}
main.addEventListener("click", (event) => {
  const button = event.target.closest(".play");
  if (button) player.play([...main.querySelectorAll(".play")].indexOf(button));
});
document.getElementById("reviewer").addEventListener("click", () => open("name"));
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault(); // a decision has not reached the queue yet
});

function start() {
  if (!main.dataset.reviewer) open("name");
  else if (main.dataset.wanted) showNamed(main.dataset.wanted, "");
  else alone(() => goOn("", "", "replace"));
}

start();
