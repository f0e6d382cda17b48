// The page: sliders, faces to begin with, a photograph of one's own, and a morph between two faces.
import { between, draw, drawChange, openModel, pixelsOf } from './model.js';
import { frameFace, readPhoto } from './framing.js';

const byId = (id) => document.getElementById(id);
const canvas = byId('face');
const say = (text) => { byId('status').textContent = text; };
const reach = 3; // standard deviations to either side

let model, kind, factors;
let base = null; // {z, photo: a canvas or null}: the face that is edited
let way = null; // z on the morph, while that is shown
const ends = { from: null, to: null };
let comparing = false;
const sliders = [];

// One picture at a time; of positions that come while one is drawn, the last counts.
let wanted = false, drawing = false;
async function redraw() {
  wanted = true;
  if (drawing) return;
  drawing = true;
  try {
    while (wanted) {
      wanted = false;
      await drawOnce();
    }
    document.body.dataset.drawn = Number(document.body.dataset.drawn ?? 0) + 1;
  } catch (error) {
    say(`The picture could not be drawn: ${error.message ?? error}`);
  } finally {
    drawing = false;
  }
}

async function drawOnce() {
  const start = performance.now();
  const origin = way ?? base.z;
  const z = comparing ? origin : model.moved(origin, factors, kind);
  const photo = way ? null : base.photo;
  if (photo && byId('paint').checked) {
    base.decoded ??= Float32Array.from(await model.decode(base.z));
    drawChange(canvas, photo, base.decoded, await model.decode(z), model.size);
  } else draw(canvas, await model.decode(z), model.size);
  for (const { a, value, chance } of sliders) {
    value.textContent = factors[a] ? `${factors[a] > 0 ? '+' : '−'}${Math.abs(factors[a]).toFixed(1)}` : '0';
    const p = model.probability(z, a, kind);
    chance.textContent = Number.isFinite(p) ? `${Math.round(100 * p)} %` : '';
  }
  byId('time').textContent = `${Math.round(performance.now() - start)} ms`;
}

function setBase(z, photo = null) {
  [base, way] = [{ z, photo }, null];
  byId('paint-tick').hidden = !photo;
  say('');
  return redraw();
}

function clearSliders() {
  factors.fill(0);
  for (const { a, input } of sliders) input.value = factors[a];
}

function makeSliders() {
  const place = byId('groups');
  place.replaceChildren();
  sliders.length = 0;
  for (const { title, names } of model.groups) {
    const rows = names.map((name) => model.attributes.indexOf(name)).filter((a) => Number.isFinite(kind.steps[a * model.d]));
    if (!rows.length) continue;
    const group = document.createElement('fieldset');
    group.append(Object.assign(document.createElement('legend'), { textContent: title }));
    for (const a of rows) {
      const id = `slider-${model.attributes[a]}`;
      const label = Object.assign(document.createElement('label'), { htmlFor: id, textContent: model.attributes[a].replaceAll('_', ' ') });
      const value = Object.assign(document.createElement('output'), { title: 'standard deviations' });
      const chance = Object.assign(document.createElement('output'), { title: 'probability, by the vector itself' });
      const input = Object.assign(document.createElement('input'), { type: 'range', id, min: -reach, max: reach, step: 0.1, value: factors[a] });
      input.addEventListener('input', () => { factors[a] = Number(input.value); redraw(); });
      input.addEventListener('dblclick', () => { factors[a] = 0; input.value = 0; redraw(); });
      const row = Object.assign(document.createElement('div'), { className: 'slider' });
      row.append(label, value, chance, input);
      group.append(row);
      sliders.push({ a, input, value, chance });
    }
    place.append(group);
  }
  factors.forEach((_, a) => { if (!sliders.some((slider) => slider.a === a)) factors[a] = 0; });
}

async function addFace(z, photo = null) {
  const button = Object.assign(document.createElement('button'), { ariaLabel: photo ? 'your photograph' : 'a face' });
  const small = Object.assign(document.createElement('canvas'), { width: 112, height: Math.round((112 * canvas.height) / canvas.width) });
  if (photo) small.getContext('2d').drawImage(photo, 0, 0, small.width, small.height);
  else draw(small, await model.decode(z), model.size);
  button.append(small);
  button.addEventListener('click', () => choose(button, z, photo));
  byId('faces').append(button);
  return button;
}

function choose(button, z, photo) {
  for (const other of byId('faces').children) other.ariaPressed = String(other === button);
  button.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  return setBase(z, photo);
}

async function takePhoto(file) {
  if (!file) return;
  let photo;
  try {
    photo = await readPhoto(file);
  } catch {
    say(`${file.name} is no picture that this browser reads: take a JPEG or a PNG.`);
    return;
  }
  const face = await frameFace(photo, canvas, model.eyes);
  if (!face) return;
  say('Looking at the face …');
  try {
    const z = await model.encode(pixelsOf(face, model.size));
    clearSliders();
    await choose(await addFace(z, face), z, face);
  } catch (error) {
    say(`The photograph could not be taken in: ${error.message ?? error}`);
  }
}

function setEnd(name) {
  const z = model.moved(way ?? base.z, factors, kind);
  ends[name] = z;
  const small = byId(name).querySelector('canvas');
  [small.width, small.height] = [96, 96];
  small.getContext('2d').drawImage(canvas, 0, 0, 96, 96);
}

async function showWay() {
  if (!ends.from || !ends.to) {
    say('Take a face as the start and another as the end.');
    return;
  }
  say('');
  clearSliders();
  way = between(ends.from, ends.to, byId('way').value / 100);
  await redraw();
}

async function play() {
  const slider = byId('way');
  for (let i = 0; i <= 60; i++) {
    slider.value = Math.round(50 - 50 * Math.cos((2 * Math.PI * i) / 60));
    await showWay();
    await new Promise(requestAnimationFrame);
  }
}

function begin() {
  document.title = byId('title').textContent = model.title;
  canvas.height = Math.round(canvas.width / model.aspect);
  byId('about').textContent = model.about;
  byId('kind-label').hidden = model.kinds.length < 2;
  model.kinds.forEach(({ name }, i) => byId('kind').append(new Option(name, i, i === model.start, i === model.start)));
  kind = model.kinds[model.start];
  factors = new Array(model.attributes.length).fill(0);
  makeSliders();

  byId('kind').addEventListener('change', () => { kind = model.kinds[byId('kind').value]; makeSliders(); redraw(); });
  byId('reset').addEventListener('click', () => { clearSliders(); way = null; say(''); redraw(); });
  byId('paint').addEventListener('change', redraw);
  byId('another').addEventListener('click', async () => {
    const z = model.sample();
    await choose(await addFace(z), z, null);
  });
  byId('photo').addEventListener('click', () => byId('file').click());
  byId('file').addEventListener('change', ({ target }) => { takePhoto(target.files[0]); target.value = ''; });
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => { event.preventDefault(); takePhoto(event.dataTransfer.files[0]); });
  const compare = byId('compare');
  const hold = (on) => () => { if (comparing !== on) { comparing = on; compare.ariaPressed = String(on); redraw(); } };
  for (const name of ['pointerdown', 'keydown']) compare.addEventListener(name, hold(true));
  for (const name of ['pointerup', 'pointerleave', 'pointercancel', 'keyup', 'blur']) compare.addEventListener(name, hold(false));
  byId('save').addEventListener('click', () => canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: `${model.title}.png` });
    link.click();
    URL.revokeObjectURL(link.href);
  }));
  byId('from').addEventListener('click', () => setEnd('from'));
  byId('to').addEventListener('click', () => setEnd('to'));
  byId('way').addEventListener('input', showWay);
  byId('play').addEventListener('click', play);
}

try {
  model = await openModel();
  begin();
  const buttons = [];
  for (const z of model.faces) buttons.push(await addFace(z));
  await choose(buttons[0], model.faces[0], null);
  document.body.dataset.ready = 'yes';
} catch (error) {
  say(`The model could not be loaded: ${error.message ?? error}`);
  throw error;
}
