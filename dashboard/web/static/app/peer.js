// Shows what the chosen policy contains.
const select = document.querySelector("[name=preset]");
const show = () => {
  for (const part of document.querySelectorAll("[data-preset]")) part.hidden = part.dataset.preset !== select.value;
};
select.addEventListener("change", show);
show();
document.getElementById("delete-form")?.addEventListener("submit", (event) => {
  if (!confirm("Remove this peer? Its tunnel goes down at once.")) event.preventDefault();
});
