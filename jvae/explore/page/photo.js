// A photograph dropped in, pasted, chosen or taken; which face in it, and where its eyes are.

import { askOf, sendPhoto } from "./server.js";
import { hush, say, saying } from "./say.js";
import { take } from "./faces.js";
import { SHOT } from "./files.js";

const find = (selector) => document.querySelector(selector);
const dialog = find("#eyes"), shown = find("#shown"), image = shown.querySelector("img"), cross = find("#cross");
const wrong = find("#eyes-error"), use = find("#eyes-use"), file = find("#file");
let sight = null, eyes = [], at = [0.5, 0.4];

const open = saying(async (photograph) => {
  if (!photograph) return;
  say(`Looking for a face in ${photograph.name || "the photograph"} …`, false);
  const found = await sendPhoto(photograph);
  hush();
  if (found.start) take(found.start);
  else choose(found);
});

function choose(found) {
  [sight, eyes] = [found, []];
  const count = found.faces.length;
  find("#eyes-title").textContent = count > 1 ? `${count} faces: choose one`
    : count ? "The face is small: set its eyes, or give a larger photograph" : "No face found: click on both eyes";
  wrong.textContent = "";
  image.src = `data:image/jpeg;base64,${found.image}`;
  for (const old of shown.querySelectorAll("button, b")) old.remove();
  image.onload = () => {
    shown.append(...found.faces.map(button));
    (shown.querySelector("button") ?? shown).focus();
  };
  dialog.showModal();
  mark();
}

// A frame about a face that was found.
function button(face, i) {
  const box = document.createElement("button");
  const [x1, y1, x2, y2] = face, apart = Math.hypot(x2 - x1, y2 - y1);
  const [w, h] = [image.naturalWidth, image.naturalHeight].map((side) => side * sight.scale);
  box.textContent = i + 1;
  box.ariaLabel = `Face ${i + 1} of ${sight.faces.length}`;
  Object.assign(box.style, {
    left: `${(100 * ((x1 + x2) / 2 - 1.25 * apart)) / w}%`, top: `${(100 * ((y1 + y2) / 2 - 1.2 * apart)) / h}%`,
    width: `${(250 * apart) / w}%`, height: `${(320 * apart) / h}%`,
  });
  box.onclick = (event) => { event.stopPropagation(); frame(face); };
  return box;
}

async function frame(where) {
  try {
    take(await askOf("/api/framed", { photo: sight.photo, eyes: where }));
    dialog.close();
  } catch (error) {
    wrong.textContent = error.message;
  }
}

function mark() {
  for (const old of shown.querySelectorAll("b")) old.remove();
  for (const [x, y] of eyes) {
    const dot = document.createElement("b");
    Object.assign(dot.style, { left: `${100 * x}%`, top: `${100 * y}%` });
    shown.append(dot);
  }
  use.disabled = eyes.length < 2;
  Object.assign(cross.style, { left: `${100 * at[0]}%`, top: `${100 * at[1]}%` });
}

function set(x, y) {
  eyes = eyes.length < 2 ? [...eyes, [x, y]] : [[x, y]];
  mark();
}

shown.onclick = (event) => {
  if (event.target.closest("button")) return;
  const box = image.getBoundingClientRect();
  set((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
};
shown.onkeydown = (event) => {
  if (event.target !== shown) return;
  const step = event.shiftKey ? 0.002 : 0.015;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (way) at = at.map((place, i) => Math.min(1, Math.max(0, place + step * way[i])));
  else if (event.key === "Enter" || event.key === " ") set(...at);
  else return;
  event.preventDefault();
  cross.hidden = false;
  mark();
};
use.onclick = () => {
  const sides = [image.naturalWidth * sight.scale, image.naturalHeight * sight.scale];
  frame(eyes.flatMap((eye) => eye.map((place, i) => place * sides[i])));
};
find("#eyes-whole").onclick = () => frame([]);
find("#eyes-cancel").onclick = () => dialog.close();

find("#upload").onclick = () => file.click();
file.onchange = () => { open(file.files[0]); file.value = ""; };
addEventListener("paste", (event) => open(event.clipboardData?.files[0]));

const drop = find("#drop");
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.hidden = ![...event.dataTransfer.types].includes("Files");
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.hidden = true; });
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.hidden = true;
  open(event.dataTransfer.files[0]);
});

const shot = find("#shot"), video = shot.querySelector("video");
find("#camera").onclick = saying(async () => {
  if (!navigator.mediaDevices) throw new Error("This browser shows no camera to pages: take a photograph and drop it in.");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } } });
  } catch (error) {
    throw new Error(`There is no camera for this page (${error.message}): take a photograph and drop it in.`);
  }
  shot.showModal();
  await video.play();
});
shot.onclose = () => {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
};
find("#shot-cancel").onclick = () => shot.close();
find("#shoot").onclick = () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  shot.close();
  canvas.toBlob((blob) => open(new File([blob], SHOT)), "image/png");
};
