// Which face: of the store, by id or labels or by chance, or a sample. A face that is chosen goes where it is wanted.

import { ask, bitmap } from "./server.js";
import { listen, set, setLook, settled, setup, state } from "./state.js";
import { saying } from "./say.js";

const find = (selector) => document.querySelector(selector);
const words = find("#words"), strip = find("#strip");
export const chance = () => Math.floor(Math.random() * 1e6);

// Into the marked frame of a morph, or else in the place of the face that is shown.
export function take(face) {
  if (state.view !== "morph") set({ start: face, end: null });
  else if (state.target === "from") set({ start: face });
  else {
    set({ end: face });
    if (state.look.t === 0) setLook({ t: 0.5 });
  }
  settled();
}

export async function thumbnail(face) {
  return bitmap(face.image || (await ask("/api/show", { start: face, look: {} })).image);
}

export const byId = saying(async (id) => take(await ask(`/api/face?${new URLSearchParams({ id })}`)));

let asking = 0;
export const look = saying(async (seed = 0) => {
  const mine = ++asking;
  const found = await ask(`/api/faces?${new URLSearchParams({ words: words.value, seed })}`);
  if (mine !== asking) return; // of older words
  strip.replaceChildren(...found.map(({ id, image }) => {
    const button = document.createElement("button"), picture = new Image();
    picture.src = `data:image/png;base64,${image}`;
    picture.alt = button.title = id;
    button.dataset.id = id;
    button.append(picture);
    button.onclick = () => byId(id);
    return button;
  }));
  if (!found.length) strip.append(setup.faces ? "Nobody in the store fits these words." : "");
  mark();
  return found;
});

const shown = () => (state.view === "morph" && state.target === "to" ? state.end : state.start);
function mark() {
  for (const button of strip.querySelectorAll("button")) {
    button.ariaCurrent = button.dataset.id === shown()?.name && shown().source === "store";
  }
}

export const another = saying(async () => {
  const without = shown()?.source === "store" ? shown().name : "";
  const query = { words: words.value, seed: chance(), without };
  const found = await ask(`/api/faces?${new URLSearchParams(query)}`);
  const one = found[Math.floor(Math.random() * found.length)];
  if (one) await byId(one.id);
});

export const sample = saying(async () => take(await ask(`/api/sample?seed=${chance()}`)));

let timer;
words.oninput = () => { clearTimeout(timer); timer = setTimeout(look, 150); };
find("#search").onsubmit = (event) => { event.preventDefault(); strip.querySelector("button")?.click(); };
find("#another").onclick = another;
find("#sample").onclick = sample;

export function build() {
  const names = Object.values(setup.groups).flat();
  find("#names").replaceChildren(...names.flatMap((name) => [new Option(name), new Option(`-${name}`)]));
  find("#search").hidden = strip.hidden = !setup.faces;
  find("#another").title = `One of ${setup.faces.toLocaleString("en")} faces, by chance`;
}

listen(() => {
  const { start, end, look: { t } } = state;
  const percent = Math.round(100 * t);
  find("#caption").textContent = !start ? "" : end ? `${start.name} → ${end.name}, ${percent} %` : start.name;
  mark();
});
