// Blanks what is not code, keeping every position, so that a rule finds names in code alone.

/**
 * @param {string} source TypeScript
 * @param {{ strings: boolean }} options whether the text of strings is blanked too
 * @returns {string} same length, same lines
 */
export function blank(source, { strings }) {
  let out = '';
  let at = 0;
  /** Depth of braces at which each open `${` of a template ends. @type {number[]} */
  const templates = [];
  let depth = 0;

  /**
   * @param {number} end
   * @param {boolean} keep
   */
  const take = (end, keep) => {
    const text = source.slice(at, end);
    out += keep ? text : text.replace(/[^\n]/g, ' ');
    at = end;
  };
  const template = () => {
    const end = templateEnd(source, at);
    const opens = source.startsWith('${', end - 2);
    take(end, !strings);
    if (opens) templates.push(depth);
  };

  while (at < source.length) {
    const two = source.slice(at, at + 2);
    const one = source[at] ?? '';
    if (two === '//') take(endOr(source, source.indexOf('\n', at)), false);
    else if (two === '/*') take(endOr(source, source.indexOf('*/', at + 2) + 2, 1), false);
    else if (one === "'" || one === '"') take(stringEnd(source, at, one), !strings);
    else if (one === '`') {
      at += 1;
      out += strings ? ' ' : '`';
      template();
    } else if (one === '/' && startsRegex(out)) take(regexEnd(source, at), !strings);
    else if (one === '}' && templates.at(-1) === depth) {
      templates.pop();
      take(at + 1, false);
      template();
    } else {
      if (one === '{') depth += 1;
      if (one === '}') depth -= 1;
      take(at + 1, true);
    }
  }
  return out;
}

/**
 * @param {string} source
 * @param {number} end
 * @param {number} [notFound] value below which nothing was found
 */
function endOr(source, end, notFound = -1) {
  return end <= notFound ? source.length : end;
}

/**
 * End of the text of a template from `at`: behind its closing backtick or behind `${`.
 * @param {string} source
 * @param {number} at
 */
function templateEnd(source, at) {
  for (let i = at; i < source.length; i++) {
    if (source[i] === '\\') i += 1;
    else if (source[i] === '`') return i + 1;
    else if (source.startsWith('${', i)) return i + 2;
  }
  return source.length;
}

/**
 * @param {string} source
 * @param {number} at
 * @param {string} quote
 */
function stringEnd(source, at, quote) {
  for (let i = at + 1; i < source.length; i++) {
    if (source[i] === '\\') i += 1;
    else if (source[i] === quote || source[i] === '\n') return i + 1;
  }
  return source.length;
}

/**
 * A slash starts a regular expression where no operand stands before it.
 * @param {string} before
 */
function startsRegex(before) {
  return /(?:^|[(,=:[!&|?{};+*%<>~^-]|\b(?:return|typeof|case|of|in))\s*$/.test(before.slice(-200));
}

/**
 * @param {string} source
 * @param {number} at
 */
function regexEnd(source, at) {
  let inClass = false;
  for (let i = at + 1; i < source.length; i++) {
    const char = source[i];
    if (char === '\\') i += 1;
    else if (char === '\n') return i;
    else if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if (char === '/' && !inClass) return i + 1;
  }
  return source.length;
}
