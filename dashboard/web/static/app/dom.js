// Small helpers for building pages. Everything that comes from elsewhere is set as text, never as HTML.
export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Text is set only where it changed, so that nothing flashes and selections stay.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function fill(list, pairs) {
  while (list.children.length > pairs.length * 2) list.lastChild.remove();
  while (list.children.length < pairs.length * 2) list.append(make("dt"), make("dd"));
  pairs.forEach(([name, value], index) => { put(list.children[index * 2], name); put(list.children[index * 2 + 1], String(value)); });
}

// The clipboard of the browser works only over HTTPS and on localhost; the old way works everywhere.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { value: text, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function copyButton(label, text) {
  const button = make("button", { type: "button", className: "btn btn-sm", textContent: label });
  let timer;
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.focus();
    button.textContent = done ? "✓ Copied" : "Copying is not allowed here; select the text instead";
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = label; }, 2500);
  });
  return button;
}

// Neither a stream nor a refused form tells why it was refused. A page does: it sends strangers to the sign-in.
export async function isSignedOut() {
  try {
    return (await fetch("/vpn/state/", { redirect: "manual" })).type === "opaqueredirect";
  } catch {
    return false;
  }
}

// A request to our own server: its JSON, or `error` with a sentence for people.
export async function post(address, token, body) {
  let answer;
  try {
    answer = await fetch(address, { method: "POST", headers: { "X-CSRFToken": token }, body, redirect: "manual" });
  } catch {
    return { error: "The dashboard does not answer. Nothing was done." };
  }
  if (answer.type === "opaqueredirect" || (answer.status === 403 && await isSignedOut())) return { error: "Your session has ended.", signIn: true };
  const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
  if (answer.status === 403 && !isJson) return { error: "This page is out of date. Load it again." };
  if (answer.status === 404) return { error: "What this page is about has been removed. Load the page again." };
  const data = isJson ? await answer.json() : {};
  if (!answer.ok) return { error: data.error || `Something went wrong on the dashboard's side (${answer.status}).` };
  return data;
}

export const signInLink = () => make("a", { href: `/account/login/?next=${encodeURIComponent(location.pathname + location.search)}`, textContent: "Sign in again" });
