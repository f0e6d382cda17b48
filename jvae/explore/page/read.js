// What there is to read: reconstructions by their error, the map of the vectors, the scorecard.

import { ask } from "./server.js";
import { listen, set, state } from "./state.js";
import { byId } from "./faces.js";

const find = (selector) => document.querySelector(selector);
let begun = false;

// What is not there says so in its own place.
async function fill(where, content) {
  const box = find(where);
  box.textContent = "…";
  try {
    box.replaceChildren(...(await content()));
  } catch (error) {
    box.textContent = error.message;
  }
}

async function picture(path, alt) {
  const image = new Image(), link = document.createElement("a");
  image.src = link.href = URL.createObjectURL(await ask(path, undefined, "blob"));
  image.alt = alt;
  link.target = "_blank";
  link.append(image);
  return [link];
}

async function worst() {
  const { count, faces } = await ask("/api/worst");
  find("#worst-said").textContent =
    `Of ${count.toLocaleString("en")} faces, original beside reconstruction, with the squared error. A click takes the face.`;
  return faces.map(({ id, error, image }) => {
    const button = document.createElement("button"), pair = new Image(), said = document.createElement("span");
    pair.src = `data:image/png;base64,${image}`;
    pair.alt = `${id} beside its reconstruction`;
    said.textContent = `${id} · ${error.toFixed(4)}`;
    button.append(pair, said);
    button.onclick = () => { set({ view: "sliders" }); byId(id); };
    return button;
  });
}

listen(() => {
  if (state.view !== "read" || begun) return;
  begun = true;
  fill("#worst", worst);
  fill("#map", () => picture("/api/map", "Cosines of the vectors beside correlations of the labels"));
  fill("#scorecard", () => picture("/api/scorecard", "The scorecard's page"));
});
