// What the page asks its server for. What goes wrong is thrown as one line, with the reply's status.

export const files = new Map(); // the photographs of this page, to be sent again if the server has dropped them

export async function ask(path, body, kind = "json") {
  let reply;
  try {
    const sent = body instanceof Blob ? body : JSON.stringify(body);
    reply = await fetch(path, body === undefined ? {} : { method: "POST", body: sent });
  } catch {
    throw new Error("The server is gone: start jvae explore again and reload. What is set here stays.");
  }
  if (reply.ok) return reply[kind]();
  const { error } = await reply.json();
  throw Object.assign(new Error(error), { status: reply.status });
}

// As `ask`, of a face: a photograph that the server has dropped is sent anew.
export async function askOf(path, body, kind) {
  try {
    return await ask(path, body, kind);
  } catch (error) {
    const file = error.status === 410 && files.get(body.start?.photo ?? body.photo);
    if (!file) throw error;
    await sendPhoto(file);
    return ask(path, body, kind);
  }
}

export async function sendPhoto(file) {
  const found = await ask(`/api/photo?${new URLSearchParams({ name: file.name || "photograph" })}`, file);
  files.set(found.photo, file);
  return found;
}

export async function bitmap(base64, type = "image/png") {
  const image = new Image();
  image.src = `data:${type};base64,${base64}`;
  await image.decode();
  return image;
}
