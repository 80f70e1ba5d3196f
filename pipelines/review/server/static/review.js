// The review page: links, each with a category that may be chosen before it is accepted. desk.js does all else.
import { api } from "./api.js";
import { Desk } from "./desk.js";

const main = document.getElementById("link");
const into = document.getElementById("into");
const said = { accept: "Accepted", reject: "Rejected", defer: "Deferred" };

let choice = {}; // category, relation and note for the link on the screen

const desk = new Desk({
  main,
  noun: "link",
  waits: (link) => ["open", "third"].includes(link.state),
  shown: () => {
    choice = {};
    showCategory();
  },
});
const { dialogs } = desk;

function showCategory() {
  const category = choice.category || desk.current?.category || "";
  into.textContent = category && `into ${category}`;
  for (const place of main.querySelectorAll(".impact .into")) place.textContent = category;
}

const decide = (verdict) => desk.answer("decision", { revision: desk.current?.revision, ...choice }, said[verdict], verdict);

// Dialogs -------------------------------------------------------------------------------------------------------

function openCategory() {
  if (!desk.current) return;
  const form = dialogs.category.querySelector("form");
  form.category.value = choice.category || "";
  form.category.placeholder = desk.current.category;
  form.relation.value = choice.relation || "same";
  form.note.value = choice.note || "";
  desk.open("category");
}

desk.submits("help", () => dialogs.help.close());
desk.submits("category", (form) => {
  const category = form.category.value.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "");
  choice = { category, relation: form.relation.value, note: form.note.value.trim() };
  dialogs.category.close();
  showCategory();
});
desk.asksName("/api/reviewer", "reviewer");

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
  return desk.alone(async () => {
    const before = desk.current;
    const { source, source_id } = label;
    const answer = await api(`/api/link/${before.id}/target`, { source, source_id });
    if (before.id !== answer.link.id) desk.back = before.id;
    desk.show(answer.link);
    desk.say(`Now ${answer.link.name}; the link before comes next`);
    desk.prefetch();
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
desk.submits("search", async () => {
  await listed;
  const row = [...found.children].find((candidate) => candidate.ariaSelected === "true");
  if (row) return openTarget(row.label);
});

function openSearch() {
  if (!desk.current) return;
  query.value = "";
  found.replaceChildren();
  desk.open("search");
}

// Keys and buttons ----------------------------------------------------------------------------------------------

const actions = {
  accept: () => decide("accept"),
  reject: () => decide("reject"),
  defer: () => decide("defer"),
  undo: () => desk.undo(),
  next: () => desk.next(),
  previous: () => desk.previous(),
  category: openCategory,
  search: openSearch,
  help: () => desk.open("help"),
  masks: () => document.body.classList.toggle("bare"),
  play: () => desk.player.toggle(),
};
const keys = { a: "accept", r: "reject", d: "defer", u: "undo", n: "next", p: "previous", c: "category", "/": "search", "?": "help", m: "masks", " ": "play" };

desk.does(actions, keys);
desk.start();
