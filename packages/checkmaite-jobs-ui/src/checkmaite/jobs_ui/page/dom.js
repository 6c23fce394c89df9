"use strict";
/* Elements. Whatever comes from jobs, people or tables is set as text, never as markup. */
const Dom = (() => {
  /** An element: h("a", {class: "x", href: "#", onclick: f}, "text", child). */
  const h = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "width") element.style.width = value;
      else if (name === "colour") element.style.backgroundColor = value;
      else element.setAttribute(name, value === true ? "" : String(value));
    }
    fill(element, children);
    return element;
  };

  const fill = (element, children) => {
    for (const child of [children].flat(Infinity)) {
      if (child === null || child === undefined || child === false) continue;
      element.append(child instanceof Node ? child : String(child));
    }
    return element;
  };

  /** Put children in the place of all that is there. */
  const replace = (element, ...children) => {
    element.replaceChildren();
    return fill(element, children);
  };

  /** The same, but what is equal stays as it is, with its focus and selection, and what somebody has opened stays open. */
  const update = (element, ...children) => {
    const made = fill(element.cloneNode(false), children);
    const opened = new Set([...element.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
    for (const each of made.querySelectorAll("details > summary")) each.parentNode.open = opened.has(each.textContent);
    if (made.isEqualNode(element)) return;
    element.replaceChildren(...made.childNodes);
  };

  return { h, replace, update };
})();
