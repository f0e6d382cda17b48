// The exported model in the browser: pictures to latents and back, by onnxruntime in WebAssembly, in one thread.
import * as ort from './ort/ort.wasm.bundle.min.js';

ort.env.wasm.numThreads = 1; // more would need headers that static servers do not send
ort.env.wasm.wasmPaths = { wasm: new URL('./ort/ort-wasm-simd-threaded.wasm', import.meta.url).href };
ort.env.logLevel = 'error';

const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

export async function openModel() {
  const meta = await (await fetch('meta.json')).json();
  meta.faces = meta.faces.map(floats);
  meta.prior = { mean: floats(meta.prior.mean), root: floats(meta.prior.root) };
  for (const kind of meta.kinds) {
    for (const name of ['steps', 'units', 'slope', 'intercept']) kind[name] = floats(kind[name]);
  }
  const create = (file) => ort.InferenceSession.create(file, { executionProviders: ['wasm'] });
  const decoder = await create('decoder.onnx');
  let encoder = null; // asked for by the first photograph
  const { size, d } = meta;
  return {
    ...meta,
    // z Float32Array [d] -> Float32Array [size·size·3], RGB in [0, 1]
    async decode(z) {
      const { image } = await decoder.run({ z: new ort.Tensor('float32', z, [1, d]) });
      return image.data;
    },
    // Float32Array [size·size·3] -> the mean of its posterior, Float32Array [d]
    async encode(pixels) {
      encoder ??= create('encoder.onnx');
      const { mean } = await (await encoder).run({ image: new ort.Tensor('float32', pixels, [1, size, size, 3]) });
      return Float32Array.from(mean.data);
    },
    // a face that nobody has: a draw from a normal distribution like that of the data's latents
    sample(temperature = 0.7) {
      const noise = Float32Array.from({ length: d }, () =>
        Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));
      return meta.prior.mean.map((m, i) => {
        let sum = 0;
        for (let j = 0; j < d; j++) sum += meta.prior.root[i * d + j] * noise[j];
        return m + temperature * sum;
      });
    },
    // z moved by factors [a], in standard deviations along the vectors of a kind
    moved(z, factors, kind) {
      const out = Float32Array.from(z);
      factors.forEach((factor, a) => {
        if (factor) for (let i = 0; i < d; i++) out[i] += factor * kind.steps[a * d + i];
      });
      return out;
    },
    // the probability of attribute a at z, by the vector's own logit
    probability(z, a, kind) {
      let along = 0;
      for (let i = 0; i < d; i++) along += z[i] * kind.units[a * d + i];
      return 1 / (1 + Math.exp(-(kind.slope[a] * along + kind.intercept[a])));
    },
  };
}

export const between = (one, other, at) => one.map((value, i) => (1 - at) * value + at * other[i]);

// Float32Array [size·size·3] in [0, 1] onto a canvas of any size, smoothly
export function draw(canvas, pixels, size) {
  const small = new OffscreenCanvas(size, size);
  const data = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    for (let c = 0; c < 3; c++) data.data[4 * i + c] = 255 * pixels[3 * i + c]; // rounds
    data.data[4 * i + 3] = 255;
  }
  small.getContext('2d').putImageData(data, 0, 0);
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// a photograph's canvas, and what an edit changes of the model's picture, painted onto it
export function drawChange(canvas, photo, before, after, size) {
  const { width, height } = canvas;
  const picture = photo.getContext('2d').getImageData(0, 0, width, height);
  const place = (at, length) => {
    const x = Math.min(Math.max(((at + 0.5) * size) / length - 0.5, 0), size - 1);
    const low = Math.min(Math.floor(x), size - 2);
    return [low, x - low];
  };
  const change = after.map((value, i) => 255 * (value - before[i]));
  const columns = Array.from({ length: width }, (_, x) => place(x, width));
  for (let y = 0, at = 0; y < height; y++) {
    const [row, v] = place(y, height);
    for (let x = 0; x < width; x++, at++) { // counts the alpha that is passed over
      const [column, u] = columns[x];
      let corner = 3 * (row * size + column);
      for (let c = 0; c < 3; c++, at++, corner++) {
        const top = change[corner] + u * (change[corner + 3] - change[corner]);
        const low = corner + 3 * size;
        const bottom = change[low] + u * (change[low + 3] - change[low]);
        picture.data[at] += top + v * (bottom - top);
      }
    }
  }
  canvas.getContext('2d').putImageData(picture, 0, 0);
}

// a canvas as the model's input: halved until it is near the size, so that nothing aliases
export function pixelsOf(canvas, size) {
  let from = canvas;
  let [width, height] = [canvas.width, canvas.height];
  while (width > size || height > size) {
    [width, height] = [Math.max(size, Math.ceil(width / 2)), Math.max(size, Math.ceil(height / 2))];
    const next = new OffscreenCanvas(width, height);
    const context = next.getContext('2d', { willReadFrequently: true });
    context.imageSmoothingQuality = 'high';
    context.drawImage(from, 0, 0, width, height);
    from = next;
  }
  const { data } = from.getContext('2d').getImageData(0, 0, size, size);
  return Float32Array.from({ length: 3 * size * size }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)] / 255);
}
