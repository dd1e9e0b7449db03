// Make the text of a page measurable, and give it a style. Run as the body of a function with two arguments:
// CSS to add, and the color behind elements that lie over others, or null to keep theirs. Returns why the page cannot
// be shown, or an empty string.
if (document.URL.startsWith('chrome-error:')) {
  return (/ERR_\w+/.exec(document.body.textContent) || ['Chromium shows an error instead'])[0];
}
if (document.body?.localName !== 'body' || document.querySelector('parsererror')) return 'it is not a whole HTML document';
const [css, ground] = arguments;
const everything = [...document.body.querySelectorAll('*')];

// Text that CSS generates (quotation marks, numbers, "read more") is not in the document, so it can't be labeled:
// it is removed. Signs of the private use area are icons.
function isText(content) {
  if (/^(none|normal|url\(.*\))$/.test(content)) return false;
  return /counter|quote/.test(content.replace(/"(\\.|[^"\\])*"/g, '')) ||
    /[^\s\p{Co}\p{Cf}]/u.test([...content.matchAll(/"((?:\\.|[^"\\])*)"/g)].map(m => m[1]).join(''));
}
for (const element of everything) {
  for (const part of ['before', 'after']) {
    if (isText(getComputedStyle(element, '::' + part).content)) element.setAttribute('data-no-' + part, '');
  }
}

// A style with its own colors makes backgrounds transparent, except where something would be seen through them.
if (ground) {
  const above = everything.filter(element => {
    const style = getComputedStyle(element);
    return style.position !== 'static' && style.position !== 'relative' && style.backgroundColor !== 'rgba(0, 0, 0, 0)';
  });
  for (const element of above) element.style.setProperty('background-color', ground, 'important');
}

const sheet = document.createElement('style');
// Hyphens that the browser adds are not in the document either. Elements without pointer events would be invisible to
// elementsFromPoint.
sheet.textContent = `
  *, *::before, *::after {
    animation-delay: 0s !important; animation-duration: 0s !important; transition: none !important;
    hyphens: none !important; pointer-events: auto !important; scroll-behavior: auto !important;
  }
  [data-no-before]::before { content: "" !important; }
  [data-no-after]::after { content: "" !important; }
` + css;
document.head.append(sheet);
return document.fonts.ready.then(() => '');
