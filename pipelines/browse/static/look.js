// Looking at samples by keyboard: moves, plays, shows masks, loads more. A plain script, so that an export opens from disk.
(() => {
  const status = document.getElementById("status");
  const grid = document.getElementById("grid");
  const sample = document.querySelector("main.sample");
  const filters = document.getElementById("filters");
  const find = document.getElementById("find");
  const most = 1200; // cards on a page; then a link leads on
  const say = (text) => status && (status.textContent = text);

  // What is wrong with something that cannot be shown; "" where nobody knows: the server is busy, or does not answer.
  async function why(address) {
    const unread = "the file cannot be read";
    const response = await fetch(address).catch(() => null);
    if (!response) return location.protocol === "file:" ? unread : ""; // a page from disk fetches nothing
    if (response.status === 503) return "";
    if (response.ok) return "the browser cannot show what lies there";
    return response.json().then((answer) => answer.error, () => unread);
  }

  // Sound ---------------------------------------------------------------------------------------------------------

  const audio = new Audio();
  let button = null;

  function draw() {
    if (!button) return;
    const playing = !audio.paused && !audio.ended;
    button.classList.toggle("playing", playing);
    button.setAttribute("aria-pressed", String(playing));
    button.querySelector("progress").value = playing ? audio.currentTime / (audio.duration || 1) : 0;
    if (playing) requestAnimationFrame(draw);
  }
  for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, draw);

  function stop() {
    audio.pause();
    draw();
    button = null;
  }

  async function play(wanted) {
    if (!wanted) return;
    if (wanted === button && !audio.paused) return stop();
    stop();
    button = wanted;
    audio.src = wanted.dataset.src;
    try {
      await audio.play();
    } catch (error) {
      if (error.name === "AbortError") return; // another sound was asked for
      if (wanted === button) stop();
      const told = await why(wanted.dataset.src);
      if (told) fault(wanted.closest(".card, section, li"), told);
      say(`No sound: ${told || "the server is busy, or does not answer"}`);
    }
  }

  // Broken samples are shown as such ------------------------------------------------------------------------------

  function fault(place, told) {
    place?.classList.add("broken");
    const line = place?.querySelector(".fault");
    if (!line) return;
    line.hidden = false;
    line.textContent = told;
  }

  async function broken(image) {
    const told = await why(image.src);
    if (told) fault(image.closest(".card, section, li"), told);
    else setTimeout(() => (image.src = image.src), 3000);
  }
  document.addEventListener("error", (event) => event.target.tagName === "IMG" && broken(event.target), true);
  for (const image of document.images) if (image.complete && image.src && !image.naturalWidth) broken(image);

  // Masks ---------------------------------------------------------------------------------------------------------

  function masks() {
    const bare = document.body.classList.toggle("bare");
    for (const image of document.querySelectorAll("img[data-drawn]")) image.src = bare ? image.dataset.plain : image.dataset.drawn;
    say(bare ? "Photos without masks" : "Photos with masks");
  }

  // Moving through the grid ---------------------------------------------------------------------------------------

  const shots = () => [...(grid?.querySelectorAll(".card:not([hidden]) .shot") || [])];

  function columns(all) {
    const top = all[0].offsetParent ? all[0].getBoundingClientRect().top : 0;
    const second = all.findIndex((shot) => shot.getBoundingClientRect().top > top + 4);
    return second < 0 ? all.length : second;
  }

  function move(key) {
    const all = shots();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement.closest?.(".card")?.querySelector(".shot"));
    if (at < 0) return focus(all[0]);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(all), ArrowUp: -columns(all) }[key];
    if (all[at + step]) focus(all[at + step]);
    else if (step > 0) more(true);
  }

  function focus(shot) {
    shot.focus({ preventScroll: true });
    shot.closest(".card").scrollIntoView({ block: "nearest" });
  }

  let loading = null;
  async function more(then) {
    const link = grid?.querySelector(".more a");
    if (!link || loading) return loading;
    if (shots().length >= most) return then && link.focus();
    loading = fetch(link.dataset.cards).then((answer) => (answer.ok ? answer.text() : Promise.reject(answer)));
    try {
      const html = await loading;
      const held = document.createElement("template");
      held.innerHTML = html; // escaped by the server
      const first = held.content.querySelector(".shot");
      link.parentElement.replaceWith(held.content);
      if (document.body.classList.contains("bare")) {
        for (const image of grid.querySelectorAll("img[data-drawn]")) image.src = image.dataset.plain;
      }
      if (then && first) focus(first);
      say(`${shots().length} samples are on the page`);
      watch();
    } catch {
      say("The server does not answer");
    } finally {
      loading = null;
    }
  }
  const near = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && more(false), { rootMargin: "900px" });
  function watch() {
    near.disconnect();
    const link = grid?.querySelector(".more a[data-cards]");
    if (link && shots().length < most) near.observe(link);
  }
  watch();

  // Forms ---------------------------------------------------------------------------------------------------------

  const joined = (address, pairs) => {
    const text = new URLSearchParams(pairs.filter(([, value]) => value !== "")).toString();
    return text ? `${address}${address.includes("?") ? "&" : "?"}${text}` : address;
  };
  // Of an export: every word must occur in what is shown of a sample.
  document.getElementById("narrow")?.addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    const cards = [...grid.querySelectorAll(".card")];
    for (const card of cards) card.hidden = !words.every((word) => card.textContent.toLowerCase().includes(word));
    say(`${cards.filter((card) => !card.hidden).length} samples`);
  });
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    if (form.dataset.narrow) return shots()[0]?.focus();
    const pairs = [...new FormData(form)].map(([name, value]) => [name, value.trim()]);
    location.assign(joined(form.dataset.find ?? form.dataset.span, pairs));
  });
  document.querySelector("select[data-order]")?.addEventListener("change", (event) => {
    const address = new URL(event.target.dataset.order, location.href);
    if (event.target.value) address.searchParams.set("order", event.target.value);
    else address.searchParams.delete("order");
    location.assign(address);
  });
  if (filters && matchMedia("(max-width: 860px)").matches) filters.open = false;

  // Keys ----------------------------------------------------------------------------------------------------------

  function toggle() {
    const own = document.activeElement.closest?.(".card, li")?.querySelector(".hear");
    play(own || (sample ? sample.querySelector(".hear") : button || document.querySelector(".card .hear")));
  }

  const step = (rel) => {
    const link = document.querySelector(`a[rel=${rel}]`);
    if (link) location.replace(link.href); // so that Back leads to the grid
    else say(rel === "next" ? "This is the last one" : "This is the first one");
  };
  const keys = {
    " ": toggle,
    m: masks,
    "/": () => find?.select(),
    f: () => {
      if (!filters) return;
      filters.open = true;
      filters.querySelector("a")?.focus();
    },
    ...(sample
      ? { ArrowLeft: () => step("prev"), ArrowRight: () => step("next"), j: () => step("next"), k: () => step("prev"), Escape: () => location.assign(sample.dataset.back) }
      : {}),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest("input, select, textarea");
    if (typing) return event.key === "Escape" && typing.blur();
    if (event.key === " " && event.target.closest("button, summary")) return;
    if (grid && !sample && event.key.startsWith("Arrow") && !event.target.closest("aside")) {
      event.preventDefault();
      return move(event.key);
    }
    const number = sample && /^[1-9]$/.test(event.key);
    const does = number ? () => play(sample.querySelectorAll(".others .hear")[event.key - 1]) : keys[event.key];
    if (!does) return;
    event.preventDefault();
    if (!event.repeat || event.key.startsWith("Arrow")) does();
  });
  document.addEventListener("click", (event) => {
    const wanted = event.target.closest(".hear");
    if (wanted) play(wanted);
  });
  if (sample) {
    const link = document.querySelector("a[rel=next]");
    const key = link && /\/sample\/([0-9a-f]{20})/.exec(link.getAttribute("href"));
    const shown = sample.querySelector(".large img");
    const own = /\/media\/([0-9a-f]{20})\//.exec(shown?.getAttribute("src") || "");
    if (key && own) for (const image of sample.querySelectorAll(".large img")) new Image().src = image.src.replace(own[1], key[1]); // ahead
  }
  document.documentElement.dataset.ready = ""; // keys are heard from here on
})();
