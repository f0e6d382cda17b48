// What is taken along: pictures, and the command that makes the same.

import { askOf, files } from "./server.js";
import { asked, listen, state } from "./state.js";
import { hush, say, saying } from "./say.js";

const find = (selector) => document.querySelector(selector);
export const SHOT = "camera.png"; // the name of a photograph that the camera took, which is in no folder yet

export function keepFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/[\\/:*?"<>|]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function named() {
  const { start, end, look } = state;
  const moved = Object.entries(look.factors).filter(([, factor]) => factor);
  const face = end ? `${start.name}-${end.name}-${Math.round(100 * look.t)}` : start.name.replace(/\.\w+$/, "");
  return [face, ...moved.map(([name, factor]) => `${name}${factor > 0 ? "+" : ""}${factor}`)].join("-").slice(0, 120);
}

for (const button of document.querySelectorAll("[data-save]")) {
  button.onclick = saying(async () => {
    const way = button.dataset.save;
    button.disabled = true;
    if (way === "whole") say("Painting the whole photograph …", false);
    const body = { ...asked(), times: Number(way) || 1, whole: way === "whole" };
    const picture = await askOf("/api/picture", body, "blob").finally(() => { button.disabled = false; });
    hush();
    keepFile(picture, `${named()}${way === "4" ? "-4x" : ""}.png`);
  });
}

find("#copy").onclick = saying(async () => {
  const { command, file } = await askOf("/api/command", asked());
  const { photo, name } = state.start, taken = files.has(photo) && !file && name === SHOT ? name : "";
  if (file) keepFile(await askOf("/api/latent", asked(), "blob"), file);
  if (taken) keepFile(files.get(photo), name);
  const also = file || taken ? ` (it reads ${file || taken}, which is in your downloads)` : "";
  try {
    await navigator.clipboard.writeText(command);
    say(`Copied${also}: ${command}`, false);
  } catch {
    say(`To copy by hand${also}: ${command}`);
  }
});

listen(() => {
  find("[data-save=whole]").hidden = !state.start?.photo || Boolean(state.end);
});
