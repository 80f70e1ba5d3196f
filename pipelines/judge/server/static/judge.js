// The judging page: one sample after another, its photo with the mask and its sound, and one answer to each.
import { Desk } from "./desk.js";

const main = document.getElementById("sample");
const verdicts = [...document.querySelectorAll("[data-verdict]")];
const { home, folder, order } = main.dataset;

const desk = new Desk({
  main,
  noun: "sample",
  home,
  folder,
  more: `&order=${order}`,
  waits: (sample) => sample.state === "open",
  shown: (sample) => sample && desk.waits(sample) && desk.player.toggle(),
});
desk.player.audio.addEventListener("playing", () => desk.player.button?.classList.add("heard"));

// An answer is for what was seen and heard: not for a photo that is still on its way, nor for a sound that nobody played.
function unseen(verdict) {
  if (!desk.current || verdict === "cannot_tell") return "";
  const images = [...main.querySelectorAll(".large img")];
  if (images.some((image) => !image.complete)) return "The photo is not here yet";
  if (!images.length || images.some((image) => !image.naturalWidth)) return "The photo cannot be shown: 6 says that nobody can tell";
  const looks = ["bad_mask", "wrong_object"].includes(verdict);
  return looks || main.querySelector(".play.heard") ? "" : "Listen first: Space plays the sound";
}

function judge(button) {
  const { verdict } = button.dataset;
  const lacks = !desk.busy && desk.current && desk.waits(desk.current) ? unseen(verdict) : "";
  if (lacks) return desk.say(lacks, "bad");
  return desk.answer("judgement", {}, button.dataset.said, verdict);
}

const actions = {
  ...Object.fromEntries(verdicts.map((button) => [button.dataset.do, () => judge(button)])),
  undo: () => desk.undo(),
  next: () => desk.next(),
  previous: () => desk.previous(),
  help: () => desk.open("help"),
  masks: () => document.body.classList.toggle("bare"),
  play: () => desk.player.toggle(),
};
const keys = { u: "undo", n: "next", p: "previous", "?": "help", m: "masks", " ": "play" };
for (const button of verdicts) keys[button.getAttribute("aria-keyshortcuts")] = button.dataset.do;

desk.does(actions, keys);
desk.asksName("/api/judge", "judge");
desk.submits("help", () => desk.dialogs.help.close());
desk.start();
