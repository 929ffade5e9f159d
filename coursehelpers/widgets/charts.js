// What the pictures draw with: nodes, numbers for people, scales, axes, and the history of a loss.

function fill(node, attrs, kids) {
  for (const [name, value] of Object.entries(attrs)) {
    if (typeof value === 'function') node.addEventListener(name, value)
    else if (value != null && value !== false) node.setAttribute(name, value)
  }
  node.append(...kids)
  return node
}
const make = (tag, attrs = {}, ...kids) => fill(document.createElement(tag), attrs, kids)
const draw = (tag, attrs = {}, ...kids) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attrs, kids)
const set = (node, attrs) => {
  for (const name in attrs) if (node.getAttribute(name) !== String(attrs[name])) node.setAttribute(name, attrs[name])
}
const write = (node, text) => {
  if (node.textContent !== text) node.textContent = text
}
const unique = () => 'ch' + Math.random().toString(36).slice(2, 10)
const clamp = (v, lo, hi) => Math.min(hi, Math.max(lo, v))
const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches

// Numbers for people: four significant digits, a real minus sign.
const num = (v, digits = 4) =>
  !Number.isFinite(v)
    ? '–'
    : (v !== 0 && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5) ? v.toExponential(2) : v.toPrecision(digits))
        .replace('e+', 'e')
        .replaceAll('-', '−')
const short = v =>
  (Math.abs(v) >= 1e5 ? (+v.toPrecision(3)).toExponential() : String(+v.toPrecision(6)))
    .replace('e+', 'e')
    .replaceAll('-', '−')
const counted = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`

function scale(d0, d1, r0, r1) {
  const s = v => r0 + ((v - d0) / (d1 - d0)) * (r1 - r0)
  s.back = r => d0 + ((r - r0) / (r1 - r0)) * (d1 - d0)
  s.to = (from, end) => {
    r0 = from
    r1 = end
  }
  return s
}
function ticks(lo, hi, count = 5) {
  const raw = (hi - lo) / count
  const ten = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map(m => m * ten).find(s => s >= raw * 0.999)
  return Array.from(
    {length: Math.floor(hi / step + 1e-9) - Math.ceil(lo / step - 1e-9) + 1},
    (_, i) => +((Math.ceil(lo / step - 1e-9) + i) * step).toPrecision(10)
  )
}
const line = (xs, ys, sx, sy) =>
  xs.map((x, i) => `${i ? 'L' : 'M'}${sx(x).toFixed(1)} ${clamp(sy(ys[i]), -4e3, 4e3).toFixed(1)}`).join('')

// Call heard(width) now, if the node is on its page, and whenever its width on the screen changes.
function watch(node, heard) {
  let was = 0
  const look = () => {
    const now = Math.floor(node.getBoundingClientRect().width)
    if (now && now !== was) heard((was = now))
  }
  new ResizeObserver(() => requestAnimationFrame(look)).observe(node)
  look()
}

// An svg with a frame, ticks and axis names; what is added to .inside is clipped to the frame. fit() draws it, from
// then on, at its true size on the screen, so that text and handles keep theirs; keep(f) calls f at every new size.
function chart({width, height, x, y, xname, yname, left = 46, right = 12, least = 140}) {
  const id = unique()
  const sx = scale(...x, 0, 1)
  const sy = scale(...y, 0, 1)
  const kept = []
  const pane = draw('rect')
  const inside = draw('g', {'clip-path': `url(#${id})`})
  const marks = draw('g', {class: 'ch-axis'})
  const svg = draw(
    'svg',
    {viewBox: `0 0 ${width} ${height}`, role: 'img'},
    draw('clipPath', {id}, pane),
    marks,
    inside
  )
  const c = {svg, inside, sx, sy}
  c.xticks = (v, at = sx(v)) =>
    marks.append(
      draw('path', {d: `M${at} ${c.b}V${c.t}`, class: 'ch-grid'}),
      draw('text', {x: at, y: c.b + 15, 'text-anchor': 'middle'}, short(v))
    )
  c.yticks = (v, at = sy(v)) =>
    marks.append(
      draw('path', {d: `M${c.l} ${at}H${c.r}`, class: 'ch-grid'}),
      draw('text', {x: c.l - 5, y: at + 4, 'text-anchor': 'end'}, short(v))
    )
  c.names = () => {
    const [across, up] = [(c.l + c.r) / 2, (c.t + c.b) / 2]
    marks.append(
      draw('path', {d: `M${c.l} ${c.t}V${c.b}H${c.r}`, class: 'ch-frame'}),
      draw('text', {x: across, y: c.height - 4, 'text-anchor': 'middle'}, xname),
      draw('text', {x: 11, y: up, 'text-anchor': 'middle', transform: `rotate(-90 11 ${up})`}, yname)
    )
  }
  c.clear = () => marks.replaceChildren()
  function size(wide, high) {
    Object.assign(c, {width: wide, height: high, l: left, r: wide - right, t: 8, b: high - 36})
    sx.to(c.l, c.r)
    sy.to(c.b, c.t)
    set(svg, {viewBox: `0 0 ${wide} ${high}`})
    set(pane, {x: c.l, y: c.t, width: Math.max(c.r - c.l, 0), height: c.b - c.t})
    kept.forEach(f => f())
  }
  c.keep = f => {
    kept.push(f)
    f()
  }
  // Its shape, but never so high that the sliders below leave a low window.
  const high = wide => clamp((wide * height) / width, least, Math.max(least, 190, innerHeight * 0.45))
  c.fit = () => watch(svg, wide => size(wide, Math.round(high(wide))))
  size(width, height)
  return c
}
function plot(options) {
  const c = chart(options)
  c.keep(() => {
    c.clear()
    ticks(...options.x).forEach(v => c.xticks(v))
    ticks(...options.y).forEach(v => c.yticks(v))
    c.names()
  })
  return c
}
function dots(c, x, y) {
  const marks = x.map(() => draw('circle', {r: 3.5, class: 'ch-dot'}))
  c.inside.append(...marks)
  c.keep(() => marks.forEach((mark, i) => set(mark, {cx: c.sx(x[i]), cy: c.sy(y[i])})))
}

// Losses over time on a logarithmic axis; a diamond marks the lowest.
function lossPlot({
  width = 360,
  height = 150,
  xname = 'moves and steps',
  yname = 'MSE',
  label = 'History of the loss',
  end = 0
}) {
  const c = chart({width, height, x: [0, 1], y: [0, 1], xname, yname, left: 58})
  const path = draw('path', {class: 'ch-curve thin'})
  const points = draw('path', {class: 'ch-points'})
  const low = draw('path', {class: 'ch-best', d: 'M0-6L6 0L0 6L-6 0Z'})
  c.inside.append(path, points, low)
  set(c.svg, {'aria-label': label})
  let frame = ''
  let last = null
  c.keep(() => {
    frame = ''
    if (last) show(last)
  })
  function show(losses, alt) {
    last = losses
    const up = losses.map(v => Math.log10(Math.max(v, 1e-12)))
    const at = up.indexOf(Math.min(...up))
    const most = Math.max(...up)
    const count = Math.max(losses.length - 1, 8)
    const lo = Math.floor((up[at] - 0.1) * 4) / 4
    const hi = Math.max(lo + 0.5, Math.ceil((most + 0.1) * 4) / 4)
    const upto = end || 2 ** Math.ceil(Math.log2(count))
    const sx = scale(0, upto, c.l + 6, c.r - 6)
    const sy = scale(lo, hi, c.b, c.t)
    if (frame !== [lo, hi, upto].join()) {
      frame = [lo, hi, upto].join()
      c.clear()
      const parts = hi - lo > 4 ? [1] : hi - lo > 1.7 ? [1, 3] : [1, 2, 3, 5, 7]
      const skip = Math.ceil((hi - lo) / 6)
      for (let e = Math.floor(lo); e <= hi; e++)
        for (const m of parts) {
          const v = e + Math.log10(m)
          if (v >= lo && v <= hi && e % skip === 0) c.yticks(m * 10 ** e, sy(v))
        }
      ticks(0, upto, 4).forEach(v => Number.isInteger(v) && c.xticks(v, sx(v)))
      c.names()
    }
    set(path, {
      d: line(
        up.map((_, i) => i),
        up,
        sx,
        sy
      )
    })
    set(points, {d: losses.length > 80 ? '' : up.map((v, i) => `M${sx(i)} ${sy(v)}h0`).join('')})
    set(low, {transform: `translate(${sx(at)} ${sy(up[at])})`})
    if (alt) set(c.svg, {'aria-label': `${label}: ${alt}`})
  }
  return {svg: c.svg, show, fit: c.fit}
}

// A row of named values: scores([name, ...]) gives {node, show(values)}.
function scores(names) {
  const cells = names.map(name => ({name, value: make('b')}))
  const node = make('div', {class: 'ch-score'}, ...cells.map(c => make('div', {}, make('span', {}, c.name), c.value)))
  return {node, show: values => cells.forEach((c, i) => write(c.value, String(values[i])))}
}
const button = (text, click) => make('button', {type: 'button', click}, text)
const panel = (...kids) => make('div', {class: 'ch-panel'}, ...kids)
const title = (text, ...kids) => make('div', {class: 'ch-title'}, make('b', {}, text), ...kids)
