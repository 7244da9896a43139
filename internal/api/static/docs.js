"use strict";

// The viewer has a light and a dark theme; the system says which.
const viewer = document.querySelector("rapi-doc");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const setTheme = () => viewer.setAttribute("theme", dark.matches ? "dark" : "light");
setTheme();
dark.addEventListener("change", setTheme);
