// The picture: one question at a time is under way, and of all moves meanwhile only the last is asked next.

import { askOf, bitmap } from "./server.js";
import { asked, listen, set, state } from "./state.js";
import { say } from "./say.js";

const find = (selector) => document.querySelector(selector);
const after = find("#after"), before = find("#before"), wipe = find("#wipe"), edge = find("#edge");
const taken = [];
const heard = [];
let drawn = "", wanted = null, busy = false, beforeOf = "";

export const hear = (listener) => heard.push(listener); // of the probabilities of each new picture

function refresh(at) {
  if (!state.start) return;
  const question = JSON.stringify(asked());
  if (question === (wanted?.question ?? drawn)) return;
  wanted = { question, at };
  find("#picture").ariaBusy = true;
  if (!busy) pump();
}

async function pump() {
  busy = true;
  while (wanted) {
    const { question, at } = wanted;
    wanted = null;
    drawn = question;
    try {
      const reply = await askOf("/api/show", JSON.parse(question));
      const image = await bitmap(reply.image, reply.type);
      draw(after, image);
      for (const listener of heard) listener(reply, image);
      if (at !== undefined && !wanted) await time(at, reply.ms);
    } catch (error) {
      say(error.message);
    }
  }
  busy = false;
  find("#picture").removeAttribute("aria-busy");
  compare();
}

// Until the frame that shows the picture.
async function time(at, ms) {
  if (document.hidden) return;
  await new Promise(requestAnimationFrame);
  taken.push(performance.now() - at);
  if (taken.length > 30) taken.shift();
  const median = taken.toSorted((a, b) => a - b)[taken.length >> 1];
  find("#took").textContent = `drag to picture ${median.toFixed(0)} ms`;
  find("#took").dataset.last = `${(performance.now() - at).toFixed(1)} of which ${ms.toFixed(1)} drawing`;
}

// Doubled until it is large enough: a browser that enlarges at once shows the pixels.
export function draw(canvas, image, x = 0, y = 0, width = image.width, height = image.height) {
  const side = Math.max(canvas.clientWidth, 96) * Math.min(devicePixelRatio, 2);
  let part = image;
  do {
    const next = new OffscreenCanvas(2 * width, 2 * height), context = next.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(part, x, y, width, height, 0, 0, next.width, next.height);
    [part, x, y, width, height] = [next, 0, 0, next.width, next.height];
  } while (Math.max(width, height) < side);
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").drawImage(part, 0, 0);
}

// Before is what there is without the sliders: the original, or of what has none, its decoded picture.
async function compare() {
  for (const part of [before, wipe, edge]) part.hidden = !state.compare;
  find("#compare").setAttribute("aria-pressed", state.compare);
  before.style.clipPath = `inset(0 ${100 - state.wipe}% 0 0)`;
  edge.style.left = `${state.wipe}%`;
  if (wipe.value !== String(state.wipe)) wipe.value = state.wipe;
  if (!state.compare || !state.start || busy) return;
  const question = JSON.stringify({ ...asked(), look: { ...state.look, factors: {}, paint: true } });
  if (question === beforeOf) return;
  beforeOf = question;
  try {
    const { image, type } = await askOf("/api/show", JSON.parse(question));
    draw(before, await bitmap(image, type));
  } catch (error) {
    say(error.message);
  }
}

wipe.oninput = () => set({ wipe: Number(wipe.value) });
find("#compare").onclick = () => set({ compare: !state.compare });
listen(refresh);
listen(() => compare());
