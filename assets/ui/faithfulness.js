// The brush of "Cover it yourself". A mask on the reduced photo's own grid, a bit per place; every change is sent when
// the finger lifts. Runs once per page, inside its component: `element`, `trigger` and `watch` are Gradio's.
const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const find = (selector) => element.querySelector(selector);
const tool = { mode: "cover", show: "photo", size: "5" };  // survives a new photo
let side = 0, photo = "", mask = new Uint8Array(0), base = null, past = [], spot = [0.5, 0.5], waiting = 0, stroke = null;

const unpack = (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Uint8Array.from({ length: side * side }, (_, place) => (bytes[place >> 3] >> (7 - (place & 7))) & 1);
};
const pack = () => {
  const bytes = new Uint8Array(Math.ceil(mask.length / 8));
  mask.forEach((bit, place) => { bytes[place >> 3] |= bit << (7 - (place & 7)); });
  return btoa(String.fromCharCode(...bytes));
};

// Covered places show exactly what the networks get there.
function draw() {
  if (!base) return;
  const context = find("canvas").getContext("2d"), image = context.createImageData(side, side);
  mask.forEach((bit, place) => { if (bit) image.data.set(base.subarray(4 * place, 4 * place + 4), 4 * place); });
  context.putImageData(image, 0, 0);
}

async function start() {
  const cover = find(".fk-cover");
  if (!cover) return;
  side = +cover.dataset.side;
  photo = cover.dataset.photo;
  mask = cover.dataset.mask ? unpack(cover.dataset.mask) : new Uint8Array(side * side);
  [base, past, stroke] = [null, [], null];
  find("input[type=range]").value = tool.size;
  press();
  move(...spot);
  const image = find(".fk-base"), canvas = document.createElement("canvas");
  await image.decode();
  Object.assign(canvas, { width: side, height: side });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, side, side);
  base = context.getImageData(0, 0, side, side).data;
  draw();
}

function press() {
  for (const button of element.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === tool.mode);
  for (const button of element.querySelectorAll("[data-show]")) button.setAttribute("aria-pressed", button.dataset.show === tool.show);
  for (const image of element.querySelectorAll("[data-under]")) image.hidden = image.dataset.under !== tool.show;
}

function send(delay = 0) {
  window.clearTimeout(waiting);
  waiting = window.setTimeout(() => trigger("select", { mask: pack(), photo }), delay);
}

function move(x, y) {
  spot = [x, y].map((value) => Math.min(1, Math.max(0, value)));
  const brush = find(".fk-brush"), width = `${100 * (2 * tool.size + 1) / side}%`;
  Object.assign(brush.style, { left: `${100 * spot[0]}%`, top: `${100 * spot[1]}%`, width, height: width });
}

function dab(bit) {
  const radius = +tool.size + 0.5, [x, y] = spot.map((value) => value * side - 0.5);
  for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(side - 1, y + radius); row++)
    for (let column = Math.max(0, Math.ceil(x - radius)); column <= Math.min(side - 1, x + radius); column++)
      if ((row - y) ** 2 + (column - x) ** 2 <= radius ** 2) mask[row * side + column] = bit;
  draw();
}

function remember() {
  past = [...past.slice(-19), mask.slice()];
}

function follow(event) {
  const box = find(".fk-canvas").getBoundingClientRect(), [x, y] = spot;
  const end = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  if (stroke === null) return move(...end);
  const steps = Math.max(1, Math.ceil(side * Math.hypot(end[0] - x, end[1] - y)));  // a fast finger leaves no gaps
  for (let step = 1; step <= steps; step++) {
    move(x + ((end[0] - x) * step) / steps, y + ((end[1] - y) * step) / steps);
    dab(stroke);
  }
}

element.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".fk-canvas") || event.button) return;
  event.target.closest(".fk-canvas").setPointerCapture(event.pointerId);
  remember();
  follow(event);
  stroke = tool.mode === "cover" ? 1 : 0;
  dab(stroke);
});
element.addEventListener("pointermove", (event) => { if (stroke !== null || event.target.closest(".fk-canvas")) follow(event); });
for (const end of ["pointerup", "pointercancel"])
  element.addEventListener(end, () => {
    if (stroke === null) return;
    stroke = null;
    send();
  });

element.addEventListener("keydown", (event) => {
  if (!event.target.closest(".fk-canvas")) return;
  const bit = { " ": 1, Enter: 1, Backspace: 0, Delete: 0 }[event.key];
  if (arrows[event.key]) move(...spot.map((value, axis) => value + (arrows[event.key][axis] * +tool.size) / side));
  else if (bit !== undefined) { remember(); dab(bit); send(300); }
  else return;
  event.preventDefault();
});

element.addEventListener("input", (event) => {
  if (event.target.type === "range") { tool.size = event.target.value; move(...spot); }
});

element.addEventListener("click", (event) => {
  const button = event.target.closest(".fk-tools button");
  if (!button) return;
  const { mode, show, put } = button.dataset;
  if (mode || show) { Object.assign(tool, mode ? { mode } : { show }); return press(); }
  if ("undo" in button.dataset) { if (!past.length) return; mask = past.pop(); }
  else { remember(); mask = put ? unpack(put) : new Uint8Array(side * side); }
  draw();
  send();
});

start();
watch("value", start);
