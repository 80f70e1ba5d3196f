// Filter the map as one types; every word must occur somewhere in the row.
const input = document.getElementById("filter");
const rows = [...document.querySelectorAll("#rows tbody tr")].map((row) => ({ row, text: row.textContent.toLowerCase() }));
const count = document.getElementById("count");

function filter() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { row, text } of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  history.replaceState(null, "", words.length ? `?q=${encodeURIComponent(input.value)}` : location.pathname);
}

input.addEventListener("input", filter);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== input) {
    event.preventDefault();
    input.select();
  }
});
if (input.value) filter();
