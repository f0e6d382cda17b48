// A photograph in a frame: dragged, zoomed and turned until its eyes lie where those of the model's faces do.
// Points are [x, y]; the photograph's point p lies in the frame at turn·p + shift, turn and shift as complex numbers.

const LARGEST = 2048; // pixels of a side that are kept of a photograph
const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
const over = ([a, b], [c, d]) => [(a * c + b * d) / (c * c + d * d), (b * c - a * d) / (c * c + d * d)];
const plus = ([a, b], [c, d]) => [a + c, b + d];
const minus = ([a, b], [c, d]) => [a - c, b - d];

const byId = (id) => document.getElementById(id);

// A picture file as a canvas. Raises where it is none that the browser reads.
export async function readPhoto(file) {
  const bitmap = await createImageBitmap(file); // upright, as its Exif says
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.max(1, bitmap.width * scale), Math.max(1, bitmap.height * scale));
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}

// Asks for the face in a photograph; a canvas of the shape of `like`, or null where the dialog was cancelled.
// eyes: where they lie in the model's faces, [x, y] from 0 to 1 each.
export async function frameFace(photo, like, eyes) {
  const [dialog, canvas, zoom, turning, says] = ['framing', 'crop', 'zoom', 'turn', 'framing-says'].map(byId);
  canvas.height = Math.round((canvas.width * like.height) / like.width);
  const middle = [canvas.width / 2, canvas.height / 2];
  const wanted = eyes.map(([x, y]) => [x * canvas.width, y * canvas.height]);
  const cover = Math.max(canvas.width / photo.width, canvas.height / photo.height);
  let turn = [cover, 0];
  let shift = minus(middle, times(turn, [photo.width / 2, photo.height / 2]));
  let marked = null; // eyes in the photograph while they are being marked

  function paint(context, scale) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = '#888';
    context.fillRect(0, 0, context.canvas.width, context.canvas.height);
    context.setTransform(scale * turn[0], scale * turn[1], -scale * turn[1], scale * turn[0], scale * shift[0], scale * shift[1]);
    context.imageSmoothingQuality = 'high';
    context.drawImage(photo, 0, 0);
    context.setTransform(1, 0, 0, 1, 0, 0);
  }

  function show() {
    const context = canvas.getContext('2d');
    paint(context, 1);
    const ring = ([x, y], radius, colour) => {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      for (const [width, style] of [[4, 'rgb(0 0 0 / .5)'], [2, colour]]) {
        context.lineWidth = width;
        context.strokeStyle = style;
        context.stroke();
      }
    };
    for (const eye of wanted) ring(eye, canvas.width / 24, '#fff');
    for (const eye of marked ?? []) ring(plus(times(turn, eye), shift), 5, '#ffd23f');
  }

  function turnAbout(centre, by) {
    turn = times(turn, by);
    shift = plus(centre, times(by, minus(shift, centre)));
    show();
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  };
  const held = new Map(); // fingers, or the mouse
  const on = new AbortController();
  const listen = (target, name, act, options = {}) => target.addEventListener(name, act, { ...options, signal: on.signal });

  listen(canvas, 'pointerdown', (event) => {
    const at = place(event);
    if (marked) {
      marked.push(over(minus(at, shift), turn));
      if (marked.length === 2) {
        marked.sort(([x], [y]) => x - y);
        const [one, other] = marked;
        if (Math.hypot(...minus(other, one)) > 4) {
          turn = over(minus(wanted[1], wanted[0]), minus(other, one));
          shift = minus(wanted[0], times(turn, one));
        }
        marked = null;
        says.textContent = 'Drag, zoom or turn it further, or use it as it is.';
      }
      show();
      return;
    }
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, at);
  });
  listen(canvas, 'pointermove', (event) => {
    if (!held.has(event.pointerId)) return;
    const [was, now] = [held.get(event.pointerId), place(event)];
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    held.set(event.pointerId, now);
    if (other && Math.hypot(...minus(was, other)) > 4) turnAbout(other, over(minus(now, other), minus(was, other)));
    else {
      shift = plus(shift, minus(now, was));
      show();
    }
  });
  for (const name of ['pointerup', 'pointercancel']) listen(canvas, name, (event) => held.delete(event.pointerId));
  listen(canvas, 'wheel', (event) => {
    event.preventDefault();
    turnAbout(place(event), [Math.exp(-event.deltaY / 500), 0]);
  }, { passive: false });
  listen(canvas, 'keydown', (event) => {
    const moves = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] };
    const zooms = { '+': 1.05, '=': 1.05, '-': 1 / 1.05 };
    if (event.key in moves) shift = plus(shift, moves[event.key]);
    else if (event.key in zooms) turnAbout(middle, [zooms[event.key], 0]);
    else return;
    event.preventDefault();
    show();
  });
  for (const slider of [zoom, turning]) slider.value = 0;
  let [zoomed, turned] = [0, 0];
  listen(zoom, 'input', () => {
    turnAbout(middle, [Math.exp((zoom.value - zoomed) / 100), 0]);
    zoomed = Number(zoom.value);
  });
  listen(turning, 'input', () => {
    const angle = ((turning.value - turned) * Math.PI) / 180;
    turnAbout(middle, [Math.cos(angle), Math.sin(angle)]);
    turned = Number(turning.value);
  });
  listen(byId('eyes'), 'click', () => {
    marked = [];
    says.textContent = 'Click the middle of one eye, then of the other.';
  });

  show();
  dialog.returnValue = '';
  dialog.showModal();
  listen(byId('use'), 'click', () => dialog.close('use'));
  listen(byId('cancel'), 'click', () => dialog.close(''));
  await new Promise((done) => listen(dialog, 'close', done));
  on.abort();
  if (dialog.returnValue !== 'use') return null;
  const face = document.createElement('canvas');
  [face.width, face.height] = [like.width, like.height];
  paint(face.getContext('2d', { willReadFrequently: true }), like.width / canvas.width);
  return face;
}
