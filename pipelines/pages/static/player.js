// One audio element for all clips of a link.

export class Player {
  constructor(main) {
    this.main = main;
    this.audio = new Audio();
    this.button = null;
    for (const name of ["play", "pause", "ended", "error"]) this.audio.addEventListener(name, () => this.draw());
    this.audio.addEventListener("timeupdate", () => this.draw());
  }

  // Start a clip, or stop it when it is the one that plays.
  play(place) {
    const button = this.main.querySelectorAll(".play")[place];
    if (!button) return;
    if (button === this.button && !this.audio.paused) return this.audio.pause();
    this.stop();
    this.button = button;
    this.audio.src = button.dataset.src;
    button.classList.remove("broken");
    this.audio.play().catch((error) => {
      if (error.name === "AbortError") return; // stopped before it began
      button.classList.add("broken"); // the browser has no decoder for it, or no file came
      if (button === this.button) this.audio.pause();
    });
  }

  toggle() {
    const buttons = [...this.main.querySelectorAll(".play")];
    this.play(Math.max(0, buttons.indexOf(this.button)));
  }

  stop() {
    this.audio.pause();
    this.draw();
    this.button = null;
  }

  // Fetch a clip ahead, so that it starts at once.
  warm(address) {
    if (address) fetch(address).catch(() => {});
  }

  draw() {
    if (!this.button) return;
    this.button.classList.toggle("playing", !this.audio.paused);
    this.button.querySelector("progress").value = this.audio.paused ? 0 : this.audio.currentTime / (this.audio.duration || 1);
  }
}
