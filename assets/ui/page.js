// What the page does by itself: touches inside our HTML, the wipe, the stages, the link. No network, no storage.
window.foodkd = (() => {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const inside = (value) => Math.min(0.999, Math.max(0.001, value));

  // Buttons with data-pick (a class) or data-example.
  function picks(element, trigger) {
    element.addEventListener("click", (event) => {
      const button = event.target.closest("[data-pick], [data-example]");
      if (button) trigger("select", { ...button.dataset });
    });
  }

  // A click or an arrow key on either map marks the place on both and asks what it adds.
  function places(element, trigger) {
    const mark = (x, y) => {
      for (const frame of element.querySelectorAll(".fk-places")) {
        Object.assign(frame.dataset, { x, y });
        Object.assign(frame.querySelector(".fk-spot").style, { left: `${100 * x}%`, top: `${100 * y}%` });
      }
      trigger("select", { x, y });
    };
    element.addEventListener("click", (event) => {
      const frame = event.target.closest(".fk-places");
      if (!frame) return;
      const box = frame.getBoundingClientRect();
      mark(inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height));
    });
    element.addEventListener("keydown", (event) => {
      const frame = event.target.closest(".fk-places");
      if (!frame || !arrows[event.key]) return;
      event.preventDefault();
      const [x, y] = arrows[event.key].map((way, axis) => inside(+frame.dataset["xy"[axis]] + way * frame.dataset.step));
      mark(x, y);
    });
  }

  function wipes(element) {
    element.addEventListener("input", (event) => {
      const frame = event.target.closest(".fk-wipe");
      if (frame) frame.style.setProperty("--edge", `${event.target.value}%`);
    });
  }

  // Opens one stage of the list; the slider and the stages' own buttons lead here.
  function stage(number) {
    for (const row of document.querySelectorAll(".fk-stage")) {
      const current = row.dataset.index === String(number);
      row.classList.toggle("fk-current", current);
      row.querySelector(".fk-stage-head").setAttribute("aria-expanded", current);
    }
  }

  function stages(element) {
    element.addEventListener("click", (event) => {
      const row = event.target.closest(".fk-stage");
      if (!row || row.classList.contains("fk-current")) return;
      const slider = document.querySelector("#fk-stage input[type=range]");
      slider.value = row.dataset.index;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      slider.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }

  // The address bar follows the view; parameters that aren't ours stay.
  function address(button) {
    const parameters = new URLSearchParams(window.location.search);
    button.dataset.names.split(" ").forEach((name) => parameters.delete(name));
    new URLSearchParams(button.dataset.query).forEach((value, name) => parameters.set(name, value));
    const all = parameters.toString();
    return window.location.origin + window.location.pathname + (all ? `?${all}` : "");
  }
  let opened = false;  // the first value is the opening view's: it must not overwrite the link that the page was opened with
  function sync(element) {
    const button = element.querySelector("[data-query]");
    if (button && opened) window.history.replaceState(null, "", address(button));
    opened = true;
  }

  async function copy(button) {
    const link = address(button);
    const told = button.parentElement.querySelector(".fk-copied");
    try {
      await navigator.clipboard.writeText(link);
      told.textContent = "Copied.";
    } catch {
      told.textContent = link;  // no clipboard without https: show it to be copied by hand
    }
  }

  // A press in the menu asks the server; what comes back inside a URL is saved at once and stays as a link.
  function downloads(element, trigger) {
    element.addEventListener("click", (event) => {
      const button = event.target.closest("[data-download]");
      if (!button) return;
      element.querySelector(".fk-made").textContent = `Preparing ${button.dataset.said} …`;
      trigger("select", { kind: button.dataset.download });
    });
  }
  let saved = "";
  async function save(element) {
    const link = element.querySelector("a.fk-save");
    if (!link) return;
    const content = await (await fetch(link.href)).blob();  // browsers refuse to save long data URLs themselves
    URL.revokeObjectURL(saved);
    link.href = saved = URL.createObjectURL(content);
    link.click();
    link.focus({ preventScroll: true });
  }
  function closeMenu(event) {
    const menu = document.querySelector(".fk-download[open]");
    if (!menu || (event.type === "click" && menu.contains(event.target))) return;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && closeMenu(event));

  // "Use your own photo" on any tab: the field is on the first, which exists only once it was opened.
  function choose(tries = 20) {
    const field = document.querySelector("#fk-upload input[type=file]");
    if (field) return field.click();
    document.querySelector('#fk-tabs [data-tab-id="compare"]')?.click();
    if (tries) window.setTimeout(() => choose(tries - 1), 100);
  }

  // Arrow keys, Home and End walk along the tabs, as in any tab list.
  const walks = { ArrowLeft: (at) => at - 1, ArrowRight: (at) => at + 1, Home: () => 0, End: () => -1 };
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest('#fk-tabs [role="tab"]');
    if (!tab || !walks[event.key]) return;
    event.preventDefault();
    const tabs = [...tab.closest('[role="tablist"]').querySelectorAll('[role="tab"]')];
    const next = tabs.at(walks[event.key](tabs.indexOf(tab)) % tabs.length);
    next.focus();
    next.click();
  });

  document.addEventListener("click", (event) => {
    closeMenu(event);
    if (event.target.closest(".fk-choose")) choose();
    const button = event.target.closest(".fk-copy");
    if (button) copy(button);
    if (event.target.closest(".fk-theme")) document.body.classList.toggle("dark");
  });

  return { picks, places, wipes, stage, stages, sync, downloads, save };
})();
