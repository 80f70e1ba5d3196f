"""Look at a dataset: a grid of its samples, a page for each, and what was dropped. Nothing of it is changed.

`catalogue` holds the columns that are filtered, `query` is what an address asks of them, `rows` reads whole rows of
the tables by row group, `media` reads members by offset and draws them, `views` are what templates show, `app` wires
the routes, `export` writes the same templates as files.

For another page that shows samples (one that judges them, say): make a `Browser(catalogue, root)` and put its
`routes()`, all of which lie below `root`, among your own. In templates (`pages.templates.environment(yours, BROWSE)`)
`card(card, at, query)` of `samples.html` is a sample in a grid, `sample_main.html` a whole one: it takes `sample`
(which `Browser.sample(key, query)` gives), `query`, `at` (`Browser.at`: where photo, mask, sound and the picture of
the sound of a key are) and `made` (the manifest). `static/look.js` has the keys: sounds are what carries `data-src`,
photos that have a mask what carries `data-drawn` and `data-plain`; `body.bare` hides masks.
"""

from pathlib import Path

BROWSE = Path(__file__).parent / "templates"
