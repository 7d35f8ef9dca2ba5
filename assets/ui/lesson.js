// The lesson: steps and guesses go to the server, the temperature, the playback and the large type stay here.
// Runs once per page, inside its component: `element`, `trigger` and `watch` are Gradio's.
const all = (selector) => [...element.querySelectorAll(selector)];
const find = (selector) => element.querySelector(selector);
const kept = { photo: "", tau: 0, played: "", at: -1, large: false, focus: "", step: "" };
let clock = 0, asked = 0;

// --- the temperature: the same formulas as foodkd.explain.soft_labels, in double precision

const softmax = (logits, tau) => {
  const top = Math.max(...logits), powers = logits.map((z) => Math.exp((z - top) / tau));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
};
const entropy = (shares) => shares.reduce((bits, p) => (p > 0 ? bits - p * Math.log2(p) : bits), 0);
const logs = (logits, tau) => {
  const top = Math.max(...logits), scaled = logits.map((z) => (z - top) / tau);
  const sum = Math.log(scaled.reduce((a, z) => a + Math.exp(z), 0));
  return scaled.map((z) => z - sum);
};
const distance = (teacher, student, tau) => {
  const [p, q] = [logs(teacher, tau), logs(student, tau)];
  return tau * tau * p.reduce((sum, log, k) => sum + Math.exp(log) * (log - q[k]), 0);
};
const percent = (share) => `${(100 * share).toFixed(1)}\u202f%`;

function soften(tau) {
  const box = find(".fk-dark");
  if (!box) return;
  const logits = JSON.parse(box.dataset.soft), shown = JSON.parse(box.dataset.shown);
  const shares = Object.fromEntries(Object.entries(logits).map(([name, z]) => [name, softmax(z, tau)]));
  for (const row of all(".fk-soft li"))
    for (const name of ["teacher", "student"]) {
      const rest = () => 1 - shown.reduce((sum, k) => sum + shares[name][k], 0);
      const share = row.dataset.class === "rest" ? Math.max(0, rest()) : shares[name][+row.dataset.class];
      const bar = row.querySelector(`.fk-${name}`);
      bar.querySelector("i").style.setProperty("--share", share.toFixed(4));
      bar.querySelector("b").textContent = percent(share);
    }
  for (const name of ["teacher", "student"]) {
    const bits = entropy(shares[name]);
    find(`[data-entropy="${name}"]`).textContent = bits.toFixed(2);
    find(`[data-open="${name}"]`).textContent = (2 ** bits).toFixed(1);
  }
  find("[data-distance]").textContent = distance(logits.teacher, logits.student, tau).toFixed(3);
  const left = 1 - shares.teacher[+find("[data-first]").dataset.first];
  for (const part of all("[data-among]")) part.textContent = percent(left > 0 ? shares.teacher[+part.dataset.among] / left : 0);
  find("#fk-tau").value = tau;
  find(".fk-tau output").textContent = tau.toFixed(1);
  for (const button of all("[data-tau]")) button.setAttribute("aria-pressed", Math.abs(button.dataset.tau - tau) < 0.05);
  kept.tau = tau;
}

// --- the playback

function turn(point) {
  const slider = find("#fk-at");
  if (!slider) return;
  for (const frame of all(".fk-point")) frame.hidden = frame.dataset.point !== String(point);
  for (const line of all(".fk-now")) {
    const place = line.dataset.stops.split(" ")[point];
    line.setAttribute("x1", place);
    line.setAttribute("x2", place);
  }
  slider.value = point;
  slider.setAttribute("aria-valuetext", `epoch ${slider.dataset.epochs.split(" ")[point]}`);
  kept.at = +point;
}

function pause() {
  window.clearInterval(clock);
  clock = 0;
  const button = find("[data-play]");
  if (button) button.textContent = "▶ Play";
}

function play() {
  if (clock) return pause();
  const last = +find("#fk-at").max;
  if (kept.at >= last) turn(0);
  find("[data-play]").textContent = "❚❚ Pause";
  clock = window.setInterval(() => {
    if (!find("#fk-at") || element.offsetParent === null || kept.at >= last) return pause();
    turn(kept.at + 1);
    if (kept.at >= last) pause();
  }, 900);
}

// --- after every change of the panel

function enlarge() {
  element.classList.toggle("fk-lesson-large", kept.large);
  find("[data-large]")?.setAttribute("aria-pressed", kept.large);
}

function start() {
  pause();
  const lesson = find(".fk-lesson");
  if (!lesson) return;
  enlarge();
  const dark = find(".fk-dark");
  if (dark) soften(kept.tau || +dark.dataset.start);
  const slider = find("#fk-at");
  if (slider) turn(kept.at < 0 ? +slider.max : Math.min(kept.at, +slider.max));
  const moved = kept.step && kept.step !== lesson.dataset.step;
  kept.step = lesson.dataset.step;
  if (moved && /^fk-(before|after)$/.test(kept.focus)) find("#fk-lesson-title").focus();
  else if (kept.focus && !element.contains(document.activeElement)) find(`#${CSS.escape(kept.focus)}`)?.focus({ preventScroll: true });
  if (moved && (kept.large || element.getBoundingClientRect().top < 0)) element.scrollIntoView();
  if (find("[data-ask]")) trigger("select", { act: "ask", ask: find("[data-ask]").dataset.ask });
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  kept.focus = button.id;
  const { act, tau } = button.dataset;
  if (act) trigger("select", { ...button.dataset });
  else if (tau) soften(+tau);
  else if ("play" in button.dataset) play();
  else if ("print" in button.dataset) find(".fk-sheet").contentWindow.print();
  else if ("large" in button.dataset) { kept.large = !kept.large; enlarge(); if (kept.large) element.scrollIntoView(); }
});
element.addEventListener("change", (event) => {
  if (!event.target.matches("select[data-act]")) return;
  kept.focus = event.target.id;
  trigger("select", { act: event.target.dataset.act, [event.target.dataset.act]: event.target.value });
});
element.addEventListener("input", (event) => {
  if (event.target.id === "fk-tau") soften(+event.target.value);
  if (event.target.id === "fk-at") { pause(); turn(+event.target.value); }
});
element.addEventListener("keydown", (event) => {
  if (event.target.id === "fk-at" && event.key === " ") { event.preventDefault(); play(); }
});

start();
watch("value", start);
