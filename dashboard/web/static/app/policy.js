// Weak choices appear only while they are allowed. The server refuses them otherwise, also without this script.
const legacy = document.querySelector("[name=legacy]");
const groups = [...document.querySelectorAll("optgroup[label=Legacy]")];

function update() {
  for (const group of groups) {
    group.hidden = group.disabled = !legacy.checked;
    if (legacy.checked) continue;
    const select = group.closest("select");
    const taken = [...group.children].filter((option) => option.selected);
    for (const option of taken) option.selected = false;
    // A single choice falls back to the first that is left.
    if (taken.length && !select.multiple) select.querySelector("option:not(optgroup[label=Legacy] > *)").selected = true;
  }
}
legacy.addEventListener("change", update);
update();
