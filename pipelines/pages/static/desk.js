// A page that shows one thing after another, by keyboard, and takes one answer to each. The page itself says what a thing
// is (its `noun` in answers and addresses), what its keys do, and what else happens when one is shown.
import { api } from "./api.js";
import { Player } from "./player.js";

export class Desk {
  // main: the element that holds the thing. waits: whether it can be answered. shown: called when another is shown.
  constructor({ main, noun, home = "/", folder = `/${noun}`, more = "", waits, shown = () => {} }) {
    Object.assign(this, { main, noun, home, folder, more, waits, shown });
    this.status = document.getElementById("status");
    this.player = new Player(main);
    this.dialogs = Object.fromEntries([...document.querySelectorAll("dialog")].map((dialog) => [dialog.id, dialog]));
    this.tab = sessionStorage.tab ||= Math.random().toString(36).slice(2);
    this.title = document.title;
    this.current = null; // the thing on the screen
    this.back = null; // the id of one to come back to
    this.busy = false; // while the one on the screen is being answered or changed: one thing at a time
    this.unsaved = false; // a change is on its way
    this.skipped = new Set(); // those passed over with "next"
    this.#listen();
  }

  // Showing -----------------------------------------------------------------------------------------------------

  // The address names the thing, so that it can be kept, sent, and gone back to. The focus goes to its heading: a screen
  // reader says that another one is here, and no button keeps the next press of a key.
  show(thing, moved = "push", empty = "done") {
    this.player.stop();
    this.current = thing;
    this.main.innerHTML = thing ? thing.html : document.getElementById(empty).innerHTML; // escaped by the server
    document.title = thing ? `${thing.name} · ${this.title}` : this.title;
    document.body.classList.toggle("decided", !thing || !this.waits(thing));
    const address = thing ? `${this.folder}/${thing.id}` : this.home;
    if (moved && location.pathname !== address) {
      const depth = (history.state?.depth || 0) + (moved === "push" ? 1 : 0);
      history[`${moved}State`]({ depth }, "", address);
    }
    this.shown(thing);
    this.focus();
    this.main.scrollTop = 0;
    window.scrollTo(0, 0);
  }

  focus() {
    if (!document.querySelector("dialog[open]")) this.main.querySelector("h1")?.focus({ preventScroll: true });
  }

  say(text, kind = "") {
    this.status.textContent = text;
    this.status.className = kind;
  }

  showProgress({ mine, waiting }) {
    document.getElementById("mine").textContent = mine;
    document.getElementById("waiting").textContent = waiting;
    Object.assign(document.getElementById("progress"), { max: mine + waiting || 1, value: mine });
  }

  // One thing at a time: what is pressed while one is being answered is meant for that one, and decides no other.
  async alone(work) {
    if (this.busy) return;
    this.busy = true;
    document.body.classList.add("busy");
    try {
      await work();
    } catch (error) {
      this.say(error.message, "bad");
    } finally {
      this.busy = this.unsaved = false;
      document.body.classList.remove("busy");
    }
  }

  async askNext(on, waiting) {
    const query = `tab=${this.tab}&on=${on?.id ?? ""}${this.more}&skip=`;
    const answer = await api(`/api/next?${query}${[...this.skipped].join(",")}`, undefined, waiting);
    if (answer[this.noun] || !this.skipped.size) return answer;
    this.skipped.clear(); // all others are done: the ones passed over come again
    return api(`/api/next?${query}`, undefined, waiting);
  }

  // What comes after the one on the screen: the one to come back to, or what the queue asks next. `done` was said before.
  async goOn(done = "", kind = "", moved = "push") {
    const waiting = (why) => this.say(`${done && `${done}. `}${why.message}: waiting for the next ${this.noun}`, "bad");
    let thing = null;
    let empty;
    if (this.back && this.back !== this.current?.id) thing = (await api(`/api/${this.noun}/${this.back}`, undefined, waiting))[this.noun];
    this.back = null;
    if (!thing || !this.waits(thing)) {
      const stays = this.current && this.waits(this.current);
      const answer = await this.askNext(stays && this.current, waiting);
      this.showProgress(answer.progress);
      thing = answer[this.noun];
      if (!thing && stays) return this.say(`No other ${this.noun} waits for you: this is the last one`);
      if (answer.held) setTimeout(() => this.current || this.alone(() => this.goOn()), 2000);
      empty = answer.held ? "held" : "done";
    }
    this.show(thing, moved, empty);
    this.say(done, kind);
    this.prefetch();
  }

  // Fetch the photos and the sound of the next one ahead.
  async prefetch() {
    if (!this.current) return;
    const thing = (await this.askNext(this.current).catch(() => ({})))[this.noun];
    if (!thing) return;
    const held = document.createElement("template");
    held.innerHTML = thing.html;
    for (const image of held.content.querySelectorAll("img")) new Image().src = image.getAttribute("src");
    this.player.warm(held.content.querySelector(".play")?.dataset.src);
  }

  // Answering ---------------------------------------------------------------------------------------------------

  // Send an answer to `path` below the thing on the screen. verdict: as the server takes it, and the class of what is said.
  answer(path, body, saying, verdict) {
    this.focus();
    return this.alone(async () => {
      const thing = this.current;
      if (!thing) return;
      if (!this.waits(thing)) {
        return this.say(`${thing.name} is decided: ${thing.mine ? "u takes your answer back" : "n goes on"}`, "bad");
      }
      this.unsaved = true;
      let answer;
      try {
        answer = await api(`/api/${this.noun}/${thing.id}/${path}`, { verdict, ...body }, (why) =>
          this.say(`Not saved yet: ${verdict} ${thing.name}. ${why.message}; trying again`, "bad"),
        );
      } catch (error) {
        if (error.status !== 409) throw error; // nobody has decided it: it stays
        this.unsaved = false;
        return this.goOn(error.message, "bad");
      }
      this.unsaved = false;
      thing.state = "answered"; // but for a deferred one, which comes again
      this.showProgress(answer.progress);
      const done = `${saying}: ${thing.name}`;
      this.say(done, verdict);
      await this.goOn(done, verdict);
    });
  }

  // Of an answered one on the screen my answer, else the newest that I gave.
  undo() {
    this.focus();
    return this.alone(async () => {
      this.unsaved = true;
      const before = this.current;
      const body = before && !this.waits(before) && before.mine ? { decision: before.mine } : {};
      const answer = await api("/api/undo", body, (why) => this.say(`Not taken back yet. ${why.message}; trying again`, "bad"));
      this.unsaved = false;
      this.showProgress(answer.progress);
      const thing = answer[this.noun];
      this.skipped.delete(thing.id);
      if (before && before.id !== thing.id) this.back = before.id;
      this.show(thing);
      this.say(`Took back: ${answer.undone} of ${thing.name}`);
      this.prefetch();
    });
  }

  next() {
    this.focus();
    return this.alone(() => {
      if (this.current && this.waits(this.current)) this.skipped.add(this.current.id);
      return this.goOn();
    });
  }

  previous() {
    this.focus();
    if (this.busy) return;
    if (history.state?.depth) history.back();
    else this.say(`No ${this.noun} was here before this one`);
  }

  showNamed(id, moved) {
    return this.alone(async () => {
      const answer = await api(`/api/${this.noun}/${id}`, undefined, (why) => this.say(`${why.message}; trying again`, "bad"));
      this.showProgress(answer.progress);
      this.show(answer[this.noun], moved);
      this.say("");
      this.prefetch();
    });
  }

  // Dialogs, keys and buttons -----------------------------------------------------------------------------------

  open(id) {
    if (this.busy) return;
    this.player.stop();
    this.dialogs[id].showModal();
  }

  submits(id, handler) {
    const form = this.dialogs[id].querySelector("form");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      await handler(form);
    });
  }

  // Ask who answers: `path` takes the name, which is told back as `who`.
  asksName(path, who) {
    const { name } = this.dialogs;
    const input = name.querySelector("input");
    this.submits("name", async (form) => {
      try {
        const answer = await api(path, { name: form.name.value });
        document.querySelector("#reviewer .name").textContent = answer[who];
        document.querySelector(".standing").hidden = false;
        this.main.dataset.reviewer = answer[who];
        input.setCustomValidity("");
        name.close();
        this.start();
      } catch (error) {
        input.setCustomValidity(error.message);
        form.reportValidity();
      }
    });
    input.addEventListener("input", () => input.setCustomValidity(""));
    name.addEventListener("cancel", (event) => {
      if (!this.main.dataset.reviewer) event.preventDefault();
    });
    document.getElementById("reviewer").addEventListener("click", () => this.open("name"));
  }

  // actions: by name, for buttons (data-do); keys: name of the action by key. Without a digit among them, digits play clips.
  does(actions, keys) {
    const plays = !Object.keys(keys).some((key) => /^\d$/.test(key));
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
      if (event.key === " " && event.target.closest("button, a, summary")) return;
      const clip = plays && /^[1-9]$/.test(event.key);
      if (!clip && !keys[event.key]) return;
      event.preventDefault();
      if (event.repeat) return;
      if (clip) this.player.play(Number(event.key) - 1);
      else actions[keys[event.key]]();
    });
    for (const button of document.querySelectorAll("[data-do]")) {
      button.addEventListener("click", (event) => {
        if (event.detail < 2) actions[button.dataset.do](); // the second click of a double click meets one not yet seen
      });
    }
  }

  #listen() {
    window.addEventListener("popstate", () => {
      const id = location.pathname.startsWith(`${this.folder}/`) && /\/(\d+)$/.exec(location.pathname)?.[1];
      if (this.busy && this.current) {
        history.pushState({ depth: (history.state?.depth || 0) + 1 }, "", `${this.folder}/${this.current.id}`);
      } else if (id) this.showNamed(id, "");
      else this.alone(() => this.goOn("", "", "replace"));
    });
    // Photos that did not come while the network was away.
    window.addEventListener("online", () => {
      for (const image of this.main.querySelectorAll("img")) if (image.complete && !image.naturalWidth) image.src = image.src;
    });
    for (const dialog of Object.values(this.dialogs)) {
      dialog.addEventListener("close", () => this.focus());
      dialog.addEventListener("click", (event) => {
        const box = dialog.getBoundingClientRect(); // a touch beside the dialog closes it
        const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
        if (event.target === dialog && !inside && (dialog.id !== "name" || this.main.dataset.reviewer)) dialog.close();
      });
    }
    for (const button of document.querySelectorAll("[data-close]")) {
      button.addEventListener("click", () => button.closest("dialog").close());
    }
    this.main.addEventListener("click", (event) => {
      const button = event.target.closest(".play");
      if (button) this.player.play([...this.main.querySelectorAll(".play")].indexOf(button));
    });
    window.addEventListener("beforeunload", (event) => {
      if (this.unsaved) event.preventDefault(); // an answer has not reached the queue yet
    });
  }

  start() {
    if (!this.main.dataset.reviewer) this.open("name");
    else if (this.main.dataset.wanted) this.showNamed(this.main.dataset.wanted, "");
    else this.alone(() => this.goOn("", "", "replace"));
  }
}
