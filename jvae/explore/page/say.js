// What is wrong, or done, in words on the page.

const box = document.querySelector("#said");
let timer;

export function say(message, lasting = true) {
  box.querySelector("p").textContent = message;
  box.classList.toggle("good", !lasting);
  box.hidden = false;
  clearTimeout(timer);
  if (!lasting) timer = setTimeout(hush, 6000);
}

export function hush() {
  box.hidden = true;
}

// Runs a task and says what went wrong with it; what was set before stays.
export const saying = (task) => async (...words) => {
  try {
    return await task(...words);
  } catch (error) {
    say(error.message);
  }
};

box.querySelector("button").onclick = hush;
