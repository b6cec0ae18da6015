// Subnets are checked by the server as they are typed, with the rules that saving applies.
import { make, post } from "./dom.js";

const WAIT_MS = 400;

// `box` holds the errors of `input`; `fields` are what the server needs to know besides.
export function checkAsTyped(input, box, { address, token, fields }) {
  let timer;
  let version = 0;
  const look = async () => {
    const mine = ++version;
    const body = new URLSearchParams({ ...fields, subnets: input.value });
    const { problems, error } = await post(address, token, body);
    if (mine !== version || error) return;
    box.replaceChildren(...problems.map((text) => make("div", { className: "field-error", textContent: text })));
    input.toggleAttribute("aria-invalid", problems.length > 0);
    if (problems.length) input.setAttribute("aria-invalid", "true");
    box.parentElement.classList.toggle("has-error", problems.length > 0);
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, WAIT_MS); });
  input.addEventListener("change", () => { clearTimeout(timer); look(); });
}
