// Return the words that the window shows, with their boxes in CSS pixels, and the boxes of what may show other text.
// Run as the body of a function without arguments.
//
// {words: [{text, box: [left, top, right, bottom], size, color: [r, g, b], spaced, block, cell, justified, certain}],
//  pictures: boxes of pictures and form controls, numbers: boxes that contain the numbers of list items, width}
//
// spaced: white space precedes the word. block: number of the block that contains it. certain: the text is what the
// window shows in the box, all of it; if not, it may be cut off, covered in part, or drawn in another way.
const width = innerWidth, height = innerHeight;
const words = [], pictures = [], numbers = [];
const REPLACED = new Set(['img', 'video', 'canvas', 'iframe', 'object', 'embed', 'input', 'select', 'textarea']);
const UNREAD = 'script,style,template,noscript,select,textarea,svg,math,iframe,object,video,canvas';
const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
const LEAST_PICTURE = [24, 10];  // width and height in CSS pixels; smaller ones are icons and hardly contain text

function channels(color) {  // [r, g, b, alpha] of a computed color; null for color spaces that CSS 4 has added
  const found = /^rgba?\(([^)]+)\)$/.exec(color);
  if (!found) return null;
  const [r, g, b, a = 1] = found[1].split(/[\s,/]+/).map(Number);
  return [r, g, b, a];
}

const known = new Map();
function look(element) {  // what an element inherits or passes on in ways that computed styles do not show
  if (known.has(element)) return known.get(element);
  const style = getComputedStyle(element);
  const above = element.parentElement ? look(element.parentElement) : {opacity: 1, plain: true, block: null};
  const turned = style.rotate !== 'none' || (style.transform !== 'none' &&
    !/^matrix\([-\d.e]+, 0, 0, [-\d.e]+,/.test(style.transform));
  const inline = /^(inline|inline-block|contents|ruby.*)$/.test(style.display);
  const result = {
    style,
    opacity: above.opacity * Number(style.opacity),
    plain: above.plain && !turned && style.filter === 'none' && style.mixBlendMode === 'normal',
    block: inline && above.block ? above.block : element,
  };
  known.set(element, result);
  return result;
}

function paints(element) {  // whether the element covers what is below it
  const {style, opacity} = look(element);
  if (opacity < 0.3 || style.visibility !== 'visible') return false;
  if (REPLACED.has(element.localName) || element.namespaceURI.endsWith('svg')) return true;
  const color = channels(style.backgroundColor);
  return style.backgroundImage !== 'none' || !color || color[3] * opacity > 0.3;
}

function seen(element, x, y) {  // whether the element is at this point and nothing above it covers it
  for (const other of document.elementsFromPoint(x, y)) {
    if (other === element) return true;
    if (paints(other)) return false;
  }
  return false;
}

function visiblePart(element, box) {  // 0: nothing, 0.5: a part, 1: all of what lies in the window
  const [left, top, right, bottom] = inside(box), w = right - left, h = bottom - top;
  const inset = Math.min(2, w / 4);  // hits are rounded to pixels, and the next element begins there
  const points = [[left + inset, top + h / 2], [right - inset, top + h / 2], [left + w / 2, top + h / 2],
                  [left + w / 2, top + 0.2 * h], [left + w / 2, bottom - 0.2 * h]];
  const count = points.filter(([x, y]) => seen(element, x, y)).length;
  return count === points.length ? 1 : count ? 0.5 : 0;
}

const inside = b => [Math.max(0, b[0]), Math.max(0, b[1]), Math.min(width, b[2]), Math.min(height, b[3])];
const inWindow = b => b[2] > 0 && b[3] > 0 && b[0] < width && b[1] < height;
const wholeInWindow = b => b[0] >= 0 && b[1] >= 0 && b[2] <= width && b[3] <= height;
const boxOf = r => [r.left, r.top, r.right, r.bottom];

// CSS may hide the end of a text and show three dots in its place.
function dotsMayCover(element, box) {
  for (let e = element; e && e !== document.body; e = e.parentElement) {
    const style = look(e).style, edge = e.getBoundingClientRect(), size = parseFloat(style.fontSize);
    if (style.textOverflow !== 'clip' && e.scrollWidth > e.clientWidth && box[2] > edge.right - 1.5 * size) return true;
    if (style.webkitLineClamp !== 'none' && e.scrollHeight > e.clientHeight && box[3] > edge.bottom - size) return true;
  }
  return false;
}

function transformed(text, style, element, begins) {  // [text as shown, certain]
  const language = element.closest('[lang]')?.lang || undefined;
  try {
    switch (style.textTransform) {
      case 'none': return [text, true];
      case 'uppercase': return [text.toLocaleUpperCase(language), true];
      case 'lowercase': return [text.toLocaleLowerCase(language), true];
      case 'capitalize':  // where words begin inside a word with other signs is up to the browser
        return [text[0].toLocaleUpperCase(language) + text.slice(1), begins && /^\p{L}+[.,:;!?]?$/u.test(text)];
    }
  } catch { /* not a language tag */ }
  return [text, false];
}

let spaced = true;  // white space since the last word
const blocks = new Map(), markers = new Set();

function add(text, box, element, certain) {
  const begins = spaced, shown = text.replace(/[\p{Cf}\uFE0E\uFE0F]/gu, '');
  if (!shown) return;
  spaced = false;
  if (!inWindow(box) || box[2] - box[0] < 1 || box[3] - box[1] < 2) return;
  const {style, opacity, plain, block} = look(element);
  const color = channels(style.webkitTextFillColor);
  if (style.visibility !== 'visible' || opacity * (color ? color[3] : 1) < 0.15) return;
  const visible = visiblePart(element, box);
  if (!visible) return;
  const [result, known] = transformed(shown, style, element, begins);
  if (!blocks.has(block)) blocks.set(block, blocks.size);
  markListNumber(element, box);
  words.push({
    text: result, box, size: parseFloat(style.fontSize), color: (color || [0, 0, 0]).slice(0, 3), spaced: begins,
    block: blocks.get(block), cell: look(block).style.display === 'table-cell',
    justified: style.textAlign === 'justify',
    certain: certain && known && color !== null && visible === 1 && wholeInWindow(box) && plain &&
      style.direction === 'ltr' && !RIGHT_TO_LEFT.test(shown) && style.unicodeBidi !== 'bidi-override' &&
      style.writingMode === 'horizontal-tb' && style.fontVariantCaps === 'normal' && !dotsMayCover(element, box),
  });
}

// The number of a list item is not in the document: its surroundings are neither text nor background.
function markListNumber(element, box) {
  const item = element.closest('li');
  if (!item || markers.has(item)) return;
  markers.add(item);
  const style = look(item).style, size = parseFloat(style.fontSize);
  if (style.display === 'list-item' && !/^(none|disc|circle|square|disclosure.*)$/.test(style.listStyleType)) {
    numbers.push([box[0] - 3 * size, box[1], box[0] - 1, box[3]]);
  }
}

// Split a word that goes over several rows.
function addRows(node, start, text, element, certain) {
  const range = document.createRange();
  let piece = '', box = null, at = start;
  for (const character of text) {
    range.setStart(node, at);
    range.setEnd(node, at += character.length);
    const rect = [...range.getClientRects()].filter(r => r.width > 0.1).pop();
    if (rect && box && Math.abs(rect.top - box[1]) > rect.height / 2) {
      add(piece, box, element, certain);
      piece = '';
      box = null;
    }
    piece += character;
    if (rect) {
      const b = boxOf(rect);
      box = box ? [Math.min(box[0], b[0]), Math.min(box[1], b[1]), Math.max(box[2], b[2]), Math.max(box[3], b[3])] : b;
    }
  }
  if (box) add(piece, box, element, certain);
}

const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const range = document.createRange();
while (walker.nextNode()) {
  const node = walker.currentNode, text = node.textContent, element = node.parentElement;
  if (!text) continue;
  if (element.closest(UNREAD)) { spaced = true; continue; }
  range.selectNodeContents(node);
  const around = boxOf(range.getBoundingClientRect());
  if (!text.trim() || !inWindow(around)) { spaced = /\s$/.test(text); continue; }
  let end = 0;
  for (const match of text.matchAll(/\S+/g)) {
    if (match.index > end) spaced = true;
    end = match.index + match[0].length;
    range.setStart(node, match.index);
    range.setEnd(node, end);
    const rects = [...range.getClientRects()].filter(r => r.width > 0.1);
    if (!rects.length) continue;
    const rows = rects.some(r => Math.abs(r.top - rects[0].top) > r.height / 2);
    if (rows) addRows(node, match.index, match[0], element, true);
    else add(match[0], boxOf(range.getBoundingClientRect()), element, true);
  }
  if (end < text.length) spaced = true;
}

function hasText(element) {
  if (element.localName === 'input') {
    return !/^(hidden|checkbox|radio|range|color)$/.test(element.type) && (element.value || element.placeholder);
  }
  return element.localName !== 'textarea' || element.value || element.placeholder;
}
for (const element of document.querySelectorAll('img,svg,math,video,canvas,iframe,object,embed,input,select,textarea')) {
  const box = boxOf(element.getBoundingClientRect());
  if (!inWindow(box) || box[2] - box[0] < LEAST_PICTURE[0] || box[3] - box[1] < LEAST_PICTURE[1]) continue;
  const {style, opacity} = look(element);
  if (style.visibility !== 'visible' || opacity < 0.05 || !hasText(element)) continue;
  const cut = inside(box);
  const points = [0.1, 0.5, 0.9].flatMap(x => [0.1, 0.5, 0.9].map(y =>
    [cut[0] + x * (cut[2] - cut[0]), cut[1] + y * (cut[3] - cut[1])]));
  const hit = points.some(([x, y]) => { const e = document.elementFromPoint(x, y); return e && element.contains(e); });
  if (hit) pictures.push(cut);
}
return {words, pictures, numbers, width};
