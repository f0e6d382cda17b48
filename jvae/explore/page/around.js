// Two attributes at once: a square of faces, of which a click takes one.

import { askOf, bitmap } from "./server.js";
import { asked, listen, set, setLook, settled, setup, state } from "./state.js";
import { draw } from "./picture.js";
import { say } from "./say.js";
import { inSd, plain } from "./sliders.js";

const find = (selector) => document.querySelector(selector);
const cells = find("#cells");
let drawn = "", busy = false;

export function build() {
  const spot = (factor) => Object.assign(document.createElement("span"), { textContent: inSd(factor) });
  find("#across").replaceChildren(...setup.grid.map(spot));
  find("#down").replaceChildren(...setup.grid.map(spot));
  cells.replaceChildren(...setup.grid.flatMap((down) => setup.grid.map((right) => {
    const button = document.createElement("button");
    button.append(document.createElement("canvas"));
    Object.assign(button.dataset, { right, down });
    button.onclick = () => {
      setLook({ factors: { ...state.look.factors, [state.x]: right, [state.y]: down } });
      settled();
    };
    return button;
  })));
}

async function refresh() {
  if (state.view !== "around" || !state.start || !state.x || busy) return;
  const { factors } = state.look;
  for (const button of cells.children) {
    const { right, down } = button.dataset;
    button.ariaLabel = `${plain(state.x)} ${inSd(right)}, ${plain(state.y)} ${inSd(down)}`;
    button.ariaPressed = (factors[state.x] ?? 0) === Number(right) && (factors[state.y] ?? 0) === Number(down);
  }
  const others = { ...factors, [state.x]: 0, [state.y]: 0 };
  const question = JSON.stringify({ ...asked(), look: { ...state.look, factors: others }, x: state.x, y: state.y });
  if (question === drawn) return;
  busy = true;
  drawn = question;
  cells.ariaBusy = true;
  try {
    const image = await bitmap((await askOf("/api/around", JSON.parse(question))).image);
    const tile = image.width / setup.grid.length;
    [...cells.children].forEach((button, i) => {
      const [x, y] = [i % setup.grid.length, Math.floor(i / setup.grid.length)];
      draw(button.firstChild, image, x * tile, y * tile, tile, tile);
    });
  } catch (error) {
    say(error.message);
  }
  busy = false;
  cells.ariaBusy = false;
  refresh();
}

for (const axis of ["x", "y"]) find(`#${axis}`).onchange = (event) => set({ [axis]: event.target.value });
listen(() => {
  for (const axis of ["x", "y"]) find(`#${axis}`).value = state[axis];
  refresh();
});
