// A button beside what is shown once.
import { byId, copyButton } from "./dom.js";

const field = byId("once");
if (field) byId("once-copy").append(copyButton("Copy", () => field.value));
