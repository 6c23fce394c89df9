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

  /**
   * Make one node equal to another, and return the one that stands: the same wherever both are of one kind. An element that
   * is replaced between the press and the release of a button takes the click with it, and the focus and a selection, too.
   */
  const become = (node, made) => {
    if (node.isEqualNode(made)) return node;
    if (node.nodeName !== made.nodeName) {
      node.replaceWith(made);
      return made;
    }
    if (node.nodeType !== Node.ELEMENT_NODE) {
      node.data = made.data;
      return node;
    }
    for (const { name } of [...node.attributes]) if (!made.hasAttribute(name)) node.removeAttribute(name);
    for (const { name, value } of made.attributes) {
      if (name === "style") node.style.cssText = made.style.cssText; // the attribute itself is forbidden to scripts
      else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
    }
    becomeChildren(node, made);
    return node;
  };

  const becomeChildren = (node, made) => {
    const [olds, news] = [[...node.childNodes], [...made.childNodes]];
    for (const old of olds.slice(news.length)) old.remove();
    news.forEach((each, index) => (index < olds.length ? become(olds[index], each) : node.append(each)));
  };

  /** Like `replace`, but what is of one kind stays the element that it is, and what somebody has opened stays open. */
  const update = (element, ...children) => {
    const made = fill(element.cloneNode(false), children);
    const opened = new Set([...element.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
    for (const each of made.querySelectorAll("details > summary")) each.parentNode.open = opened.has(each.textContent);
    becomeChildren(element, made);
  };

  return { h, replace, become, update };
})();
