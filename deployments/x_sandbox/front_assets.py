"""How the page for people looks, and the few lines by which it follows what happens."""

STYLE = """
form.one { display: inline; } form.one button { padding: .1rem .7rem; font-size: .85rem; }
header { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline; }
.row { display: flex; gap: .6rem; align-items: center; justify-content: space-between; padding: .25rem 0; }
.row + .row { border-top: 1px solid var(--line); } .row small { display: block; line-height: 1.3; }
.on { color: var(--wrong); font-weight: 600; }
button[aria-checked=true] { background: var(--wrong); border-color: var(--wrong); }
button[aria-checked=false] { background: none; border-color: var(--line); color: inherit; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } td { padding: .15rem 0; }
td:first-child { width: 100%; overflow-wrap: anywhere; } .row > :last-child { text-align: right; }
td:nth-child(n+2) { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; padding-left: .8rem; }
#said { color: var(--wrong); margin: 0; }
time { font-size: 1.2rem; font-variant-numeric: tabular-nums; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 0 .8rem; } summary { cursor: pointer; margin-top: .6rem; }
#accounts { max-height: 22rem; overflow-y: auto; }
"""
SCRIPT = """
"use strict";
const said = document.getElementById("said");
let shown = {};
async function look() {
  try {
    const answer = await fetch("/live");
    if (!answer.ok) throw new Error(await answer.text());
    const parts = await answer.json();
    for (const [id, html] of Object.entries(parts)) {
      if (shown[id] !== html) document.getElementById(id).innerHTML = html;
    }
    shown = parts;
    if (said.dataset.lost) { said.textContent = ""; delete said.dataset.lost; }
  } catch (error) {
    said.textContent = "The sandbox does not answer; this page tries again.";
    said.dataset.lost = "yes";
  }
}
document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const body = new URLSearchParams(new FormData(form, event.submitter));
  const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" });
  said.textContent = answer.status >= 400 ? await answer.text() : "";
  await look();
});
setInterval(look, 1500);
"""
