// Touches on the panels of "Across the test set" go to the server; focus and the tables' scroll stay where they were.
// Runs once per panel: `element`, `trigger` and `watch` are Gradio's.
const kept = { focus: "", top: 0 };

function start() {
  const scroller = element.querySelector(".fk-scroller");
  if (scroller) scroller.scrollTop = kept.top;
  const lost = !document.activeElement || document.activeElement === document.body;
  if (kept.focus && lost) document.getElementById(kept.focus)?.focus({ preventScroll: true });
  const asking = element.querySelector("[data-ask]");
  if (asking) trigger("select", { act: "ask" });
}

element.addEventListener("click", (event) => {
  const place = document.getElementById(event.target.closest("[data-see]")?.dataset.see);
  if (place) {
    place.scrollIntoView({ block: "start" });
    place.focus({ preventScroll: true });
  }
  const button = event.target.closest("[data-act]");
  if (!button) return;
  kept.focus = button.id;
  if (button.dataset.act === "sort") kept.top = 0;
  trigger("select", { ...button.dataset });
  if (button.dataset.act === "page") element.scrollIntoView({ block: "start" });
});
// `scroll` does not bubble.
element.addEventListener("scroll", (event) => { if (event.target.matches?.(".fk-scroller")) kept.top = event.target.scrollTop; }, true);

start();
watch("value", start);
