"use strict";
// Asks for the run's state every two seconds, and for another search when a budget is edited. Names are set as text, never as HTML.
const byId = (id) => document.getElementById(id);
const seen = new Map(); // stage -> [time in ms, done] when it was first seen, for the time that is left

function cell(row, content, kind = "td") {
  const made = document.createElement(kind);
  made.append(content);
  row.append(made);
  return made;
}

function left(stage) {
  if (stage.status !== "running" || !stage.total) return "";
  if (!seen.has(stage.title)) seen.set(stage.title, [Date.now(), stage.done]);
  const [since, from] = seen.get(stage.title);
  if (stage.done <= from) return "";
  const seconds = ((Date.now() - since) / (stage.done - from) / 1000) * (stage.total - stage.done);
  return seconds < 90 ? Math.ceil(seconds) + " s" : Math.ceil(seconds / 60) + " min";
}

// Of the steps that are running, as parts of a whole step.
function share(stages) {
  return stages.filter((s) => s.status === "running" && s.total).reduce((sum, s) => sum + s.done / s.total, 0);
}

function show(state) {
  const rows = state.stages.map((stage) => {
    const row = document.createElement("tr");
    row.className = stage.status;
    cell(row, stage.title, "th").scope = "row";
    cell(row, stage.status).className = "status";
    const bar = document.createElement("progress");
    if (stage.total) Object.assign(bar, { max: stage.total, value: stage.done });
    bar.setAttribute("aria-label", stage.title);
    const told = stage.total ? ` ${stage.done.toLocaleString()} of ${stage.total.toLocaleString()}` : "";
    cell(row, stage.total ? bar : "").append(told);
    cell(row, left(stage));
    cell(row, stage.text);
    return row;
  });
  byId("stages").replaceChildren(...rows);
  const done = state.stages.filter((s) => s.status === "done").length;
  const running = state.stages.filter((s) => s.status === "running").map((s) => s.title);
  Object.assign(byId("all"), { max: state.stages.length, value: done + share(state.stages), hidden: false });
  byId("now").textContent = `${done} of ${state.stages.length} steps done` + (running.length ? `; now: ${running.join(", ")}` : "") + ".";
}

async function poll() {
  try {
    const answer = await fetch("state");
    const told = await answer.json();
    if (answer.ok) show(told);
    else byId("now").textContent = told.error;
    setTimeout(poll, 2000);
  } catch {
    byId("now").textContent = "hwnas ui has ended; what stands here is what it said last.";
  }
}

async function search(event) {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  const place = byId("found");
  try {
    const body = JSON.stringify({ budget: byId("device").value + ":" + byId("budget").value });
    const answer = await fetch("search", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const told = await answer.json();
    if (answer.ok) {
      place.replaceChildren(...new DOMParser().parseFromString(told.html, "text/html").body.childNodes);
    } else {
      const line = document.createElement("p");
      line.className = "error";
      line.textContent = told.error;
      place.replaceChildren(line);
    }
  } finally {
    button.disabled = false;
    place.dataset.asked = Number(place.dataset.asked || 0) + 1;
  }
}

byId("ask")?.addEventListener("submit", search);
byId("device")?.addEventListener("change", (e) => (byId("budget").value = e.target.selectedOptions[0].dataset.budget));
poll();
