// The configuration for the other side: another gateway is shown at once, and the text is copied whole.
import { byId, copyButton } from "./dom.js";

const form = byId("vendor-form");
byId("vendor-go").hidden = true;
byId("vendor").addEventListener("change", () => form.requestSubmit());
byId("copy")?.append(copyButton("Copy", () => byId("config").textContent));
