// What is set on this page. It lives here alone: the server is told all of it with every question.

const KEPT = "jvae explore";
const LOOK = { factors: {}, kind: "difference", balance: [], keep: [], paint: true, t: 0, trajectory: "lerp", even: false };

export const state = {
  start: null, end: null, look: LOOK, // what undo goes back over
  view: "sliders", target: "to", compare: false, wipe: 50, x: "", y: "",
};
export const setup = {};
const listeners = [], past = [], future = [];
let last = null;

export const listen = (listener) => listeners.push(listener);

// The face, what is done to it and the other face, as the server takes them.
export const asked = () => ({ start: state.start, look: state.look, end: state.end });

// Changes fields; `at` is when the hand moved that did it. What is to be undone by itself is then `settled`.
export function set(fields, at) {
  Object.assign(state, fields);
  for (const listener of listeners) listener(at);
}

export const setLook = (fields, at) => set({ look: { ...state.look, ...fields } }, at);
export const setFactor = (name, factor, at) => setLook({ factors: { ...state.look.factors, [name]: factor } }, at);

export function settled() {
  const { start, end, look } = state;
  if (last && start === last.start && end === last.end && JSON.stringify(look) === JSON.stringify(last.look)) return;
  if (last) past.push(last);
  if (past.length > 200) past.shift();
  last = { start, end, look };
  future.length = 0;
  set({});
}

function back(from, to) {
  if (!from.length) return;
  to.push(last);
  last = from.pop();
  set(last);
}
export const undo = () => back(past, future);
export const redo = () => back(future, past);
export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;

// A reload finds what was set. Each tab keeps its own.
export function keepHere() {
  let timer;
  listen(() => {
    clearTimeout(timer);
    timer = setTimeout(store, 200);
  });
  addEventListener("pagehide", store);
}

function store() {
  try {
    sessionStorage.setItem(`${KEPT} ${setup.run}`, JSON.stringify(state));
  } catch { /* a face too large to keep: a reload then begins anew */ }
}

export function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(`${KEPT} ${setup.run}`));
    if (kept?.start?.model !== setup.model) return; // a face of what the run was before it trained on
    const names = Object.values(setup.groups).flat(), there = ([name]) => names.includes(name);
    const factors = Object.fromEntries(Object.entries(kept.look.factors).filter(there));
    const keep = kept.look.keep.filter((name) => names.includes(name));
    Object.assign(state, kept, { look: { ...LOOK, ...kept.look, factors, keep } });
  } catch { /* of another version of the page */ }
}
