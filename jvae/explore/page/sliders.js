// A slider an attribute, in groups, with what the picture shows of it and a tick that holds it still.

import { hear } from "./picture.js";
import { listen, set, setFactor, setLook, settled, setup, state } from "./state.js";
import { ask } from "./server.js";
import { saying } from "./say.js";

const FURTHEST = 5; // standard deviations
const find = (selector) => document.querySelector(selector);
export const plain = (name) => name.replaceAll("_", " ");
const rows = new Map();

function row(name, number) {
  const box = document.createElement("div");
  box.className = "slider";
  box.dataset.name = name;
  box.innerHTML = `<label class="name"></label><output></output><span class="chance"><i></i><b></b></span>
    <label class="hold"><input type="checkbox"><span aria-hidden="true"></span></label>
    <input class="range" type="range" min="-${FURTHEST}" max="${FURTHEST}" step="0.1" value="0">`;
  const [label, said, chance, hold, range] = box.children, tick = hold.firstChild;
  label.textContent = plain(name);
  label.htmlFor = range.id = `slider-${number}`;
  tick.ariaLabel = `Hold ${plain(name)} still`;
  hold.title = "Hold this still while other sliders move";
  range.disabled = name in setup.missing;
  if (range.disabled) box.title = `no vector: ${setup.missing[name]}`;
  const zero = (event) => { setFactor(name, 0, event.timeStamp); settled(); };
  range.oninput = (event) => setFactor(name, Number(range.value), event.timeStamp);
  range.onchange = settled;
  range.ondblclick = label.ondblclick = zero;
  range.onkeydown = (event) => { if (["0", "Delete", "Backspace"].includes(event.key)) zero(event); };
  tick.onchange = () => {
    const others = state.look.keep.filter((each) => each !== name);
    setLook({ keep: tick.checked ? [...others, name] : others });
    settled();
  };
  rows.set(name, { box, said, chance, tick, range });
  return box;
}

export function build() {
  rows.clear();
  const groups = Object.entries(setup.groups).map(([title, names]) => {
    const group = document.createElement("fieldset"), legend = document.createElement("legend");
    legend.textContent = title;
    group.append(legend, ...names.map((name) => row(name, `${title}-${name}`.replace(/\W+/g, "-"))));
    return group;
  });
  find("#groups").replaceChildren(...groups);
  const names = [...rows.keys()].filter((name) => !rows.get(name).range.disabled);
  const options = (list) => list.map((each) => new Option(plain(each), each));
  find("#kind").replaceChildren(...options(setup.kinds));
  find("#balance select").replaceChildren(...options([...new Set([setup.balance.join("&"), ...names])].filter(Boolean)));
  for (const id of ["#x", "#y"]) find(id).replaceChildren(...options(names));
  const judges = setup.judged.length;
  find("#whose").textContent = names.length ? `% by ${judges ? "the judge" : "each vector's own logit"}` : "";
  const none = find("#none");
  none.hidden = rows.size > 0;
  none.replaceChildren();
  if (!rows.size) {
    none.append("This run has no attribute vectors yet, so there are no sliders. ");
    if (setup.estimates) {
      const make = document.createElement("button");
      make.className = "main";
      make.textContent = "Make them: one pass over the store";
      make.onclick = saying(async () => {
        make.disabled = true;
        make.textContent = "Making them …";
        Object.assign(setup, await ask("/api/vectors", {}).finally(() => { make.disabled = false; }));
        begin();
        build();
        set({});
      });
      none.append(make);
    } else none.append(`On a labelled store: jvae vectors --run ${setup.run} --data STORE. Faces can be morphed meanwhile.`);
  }
}

// What the vectors were saved as, for a page that is new.
export function begin() {
  state.look = { ...state.look, kind: setup.kind, balance: setup.balance, keep: setup.keep };
  const names = Object.values(setup.groups).flat().filter((name) => !(name in setup.missing));
  const [x, y] = [["Smiling", 0], ["Eyeglasses", 1]].map(([name, i]) => (names.includes(name) ? name : names[i]));
  Object.assign(state, { x: x ?? "", y: y ?? x ?? "" });
}

export const inSd = (factor) => `${factor > 0 ? "+" : factor < 0 ? "−" : ""}${Math.abs(factor).toFixed(1)} sd`;

function render() {
  const { look } = state;
  for (const [name, row] of rows) {
    const { box, said, tick, range } = row;
    const factor = look.factors[name] ?? 0, held = look.keep.includes(name), at = 50 + (50 * factor) / FURTHEST;
    if (row.factor === factor && row.held === held) continue;
    Object.assign(row, { factor, held });
    range.value = factor;
    range.style.setProperty("--low", `${Math.min(at, 50)}%`);
    range.style.setProperty("--high", `${Math.max(at, 50)}%`);
    range.ariaValueText = `${factor} standard deviations`;
    said.textContent = factor ? inSd(factor) : "";
    tick.checked = held;
    box.classList.toggle("held", held);
    box.classList.toggle("moved", factor !== 0);
  }
  find("#kind").value = look.kind;
  find("#balance").hidden = look.kind !== "balanced";
  find("#balance select").value = look.balance.join("&");
  find("#paint").checked = look.paint;
  find("#paint").disabled = !state.start?.image || Boolean(state.end);
}

hear(({ chances }) => {
  for (const [name, { chance }] of rows) {
    const share = chances[name];
    const said = share === undefined ? "" : `${Math.round(100 * share)} %`;
    if (chance.lastChild.textContent === said) continue;
    chance.hidden = !said;
    chance.firstChild.style.setProperty("--share", said.replace(" ", "") || "0%");
    chance.lastChild.textContent = said;
    chance.title = setup.judged.includes(name) ? "by the judge" : "by the vector's own logit";
  }
});

find("#kind").onchange = (event) => {
  const kind = event.target.value;
  const balance = state.look.balance.length ? state.look.balance : [find("#balance select").value].filter(Boolean);
  setLook({ kind, balance: kind === "balanced" ? balance : state.look.balance });
  settled();
};
find("#balance select").onchange = (event) => { setLook({ balance: event.target.value.split("&") }); settled(); };
find("#paint").onchange = (event) => { setLook({ paint: event.target.checked }); settled(); };
find("#reset").onclick = () => { setLook({ factors: {} }); settled(); };
listen(render);
