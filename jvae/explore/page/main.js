// The page's beginning: what there is, what was set before a reload, and the keys that work everywhere.

import { ask } from "./server.js";
import { canRedo, canUndo, keepHere, listen, recall, redo, set, settled, setup, state, undo } from "./state.js";
import { say } from "./say.js";
import * as sliders from "./sliders.js";
import * as faces from "./faces.js";
import * as around from "./around.js";
import * as morph from "./morph.js";
import "./picture.js";
import "./photo.js";
import "./read.js";
import "./files.js";

const find = (selector) => document.querySelector(selector);
const tabs = [...document.querySelectorAll("[role=tab]")];

for (const tab of tabs) {
  tab.onclick = () => { set({ view: tab.dataset.view }); morph.begin(); };
  tab.onkeydown = (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    const next = tabs[(tabs.indexOf(tab) + way + tabs.length) % tabs.length];
    next.focus();
    next.click();
  };
}
listen(() => {
  document.body.dataset.view = state.view;
  for (const tab of tabs) {
    const mine = tab.dataset.view === state.view;
    tab.ariaSelected = mine;
    tab.tabIndex = mine ? 0 : -1;
    find(`#panel-${tab.dataset.view}`).hidden = !mine;
  }
  find("#undo").disabled = !canUndo();
  find("#redo").disabled = !canRedo();
});

find("#undo").onclick = undo;
find("#redo").onclick = redo;
addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.target.matches("input[type=search]")) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) redo();
  else undo();
});

try {
  Object.assign(setup, await ask("/api/setup"));
  find("#run").textContent = setup.run;
  document.title = `${setup.run} · jvae`;
  sliders.begin();
  recall();
  for (const part of [sliders, faces, around, morph]) part.build();
  set({});
  keepHere();
  const seen = await faces.look();
  if (state.start) settled();
  else if (seen?.length) await faces.byId(seen[0].id);
  else await faces.sample();
} catch (error) {
  say(error.message);
}
document.body.dataset.ready = "yes";
