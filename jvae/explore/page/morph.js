// From one face to another: a scrubber, and an animation to take along.

import { ask } from "./server.js";
import { listen, set, setLook, settled, state } from "./state.js";
import { saying } from "./say.js";
import { byId, thumbnail } from "./faces.js";
import { draw } from "./picture.js";
import { keepFile } from "./files.js";
import { asked, setup } from "./state.js";

const find = (selector) => document.querySelector(selector);
const place = find("#place"), play = find("#play"), painted = {};
let playing = 0;

// A morph without a second face begins with one by chance.
export const begin = saying(async () => {
  if (state.view !== "morph" || state.end || !state.start) return;
  set({ target: "to" });
  if (!setup.faces) return;
  const query = { words: "", seed: Math.floor(Math.random() * 1e6), without: state.start.name };
  const [one] = await ask(`/api/faces?${new URLSearchParams(query)}`);
  if (one && state.view === "morph" && !state.end) await byId(one.id);
});

const paint = saying(async (id, face) => {
  if (painted[id] === face) return;
  painted[id] = face;
  const canvas = find(`#${id} canvas`);
  find(`#${id} span`).textContent = face ? face.name : "choose a face";
  if (face) draw(canvas, await thumbnail(face));
  else canvas.width = canvas.width;
});

function stop() {
  cancelAnimationFrame(playing);
  playing = 0;
  play.textContent = "▶";
  play.ariaLabel = "Play";
}

play.onclick = () => {
  if (playing) return stop();
  const from = performance.now() - 2500 * state.look.t;
  const step = (now) => {
    const gone = ((now - from) / 2500) % 2; // there and back
    setLook({ t: Math.round(100 * (gone > 1 ? 2 - gone : gone)) / 100 });
    if (state.view === "morph" && state.end) playing = requestAnimationFrame(step);
    else stop();
  };
  [play.textContent, play.ariaLabel] = ["❚❚", "Pause"];
  playing = requestAnimationFrame(step);
};

place.oninput = (event) => { stop(); setLook({ t: Number(place.value) }, event.timeStamp); };
place.onchange = settled;
for (const id of ["from", "to"]) find(`#${id}`).onclick = () => set({ target: id });
find("#swap").onclick = () => {
  if (!state.end) return;
  set({ start: state.end, end: state.start, look: { ...state.look, t: Math.round(100 * (1 - state.look.t)) / 100 } });
  settled();
};
find("#leave").onclick = () => { stop(); set({ end: null }); setLook({ t: 0 }); settled(); };
find("#trajectory").onchange = (event) => { setLook({ trajectory: event.target.value }); settled(); };
find("#even").onchange = (event) => { setLook({ even: event.target.checked }); settled(); };
for (const kind of ["gif", "mp4"]) {
  const button = find(`#${kind}`);
  button.onclick = saying(async () => {
    button.disabled = true;
    const movie = await ask("/api/movie", { ...asked(), suffix: `.${kind}` }, "blob").finally(() => {
      button.disabled = false;
    });
    keepFile(movie, `${state.start.name}-${state.end?.name}.${kind}`);
  });
}

export function build() {
  find("#mp4").hidden = !setup.mp4;
}

listen(() => {
  const { start, end, look } = state;
  if (state.view === "morph") { paint("from", start); paint("to", end); }
  for (const id of ["from", "to"]) find(`#${id}`).ariaPressed = state.target === id;
  if (Number(place.value) !== look.t) place.value = look.t;
  place.ariaValueText = find("#percent").textContent = `${Math.round(100 * look.t)} %`;
  place.style.setProperty("--low", "0%");
  place.style.setProperty("--high", `${100 * look.t}%`);
  for (const id of ["#place", "#play", "#gif", "#mp4", "#swap"]) find(id).disabled = !end;
  find("#leave").hidden = !end;
  find("#trajectory").value = look.trajectory;
  find("#even").checked = look.even;
});
