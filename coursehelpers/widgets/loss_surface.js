// The loss surface of a model that is linear in its parameters: MSE is then a quadratic form,
// and its contours are ellipses.

const HEAT = [
  '#00224e',
  '#0f2f5b',
  '#21396b',
  '#35456c',
  '#45506c',
  '#555b6d',
  '#656770',
  '#757374',
  '#858078',
  '#978d78',
  '#aa9a75',
  '#bda86f',
  '#d1b765',
  '#e5c757',
  '#fdea45'
]

// Predictions, losses and the gradient of the MSE, from basis columns that Python computed.
function linear({basis, offset, y}) {
  const n = y.length
  const sum = f => {
    let s = 0
    for (let i = 0; i < n; i++) s += f(i)
    return s
  }
  const preds = (w, cols = basis, base = offset) =>
    base.map((o, i) => {
      let s = o
      for (let j = 0; j < cols.length; j++) s += cols[j][i] * w[j]
      return s
    })
  const off = w => preds(w).map((p, i) => p - y[i])
  const mse = w => {
    const r = off(w)
    return sum(i => r[i] * r[i]) / n
  }
  const mae = w => {
    const r = off(w)
    return sum(i => Math.abs(r[i])) / n
  }
  const grad = w => {
    const r = off(w)
    return basis.map(col => (2 / n) * sum(i => col[i] * r[i]))
  }
  const G = basis.map(a => basis.map(b => sum(i => a[i] * b[i]) / n))
  const g = basis.map(a => sum(i => a[i] * (y[i] - offset[i])) / n)
  return {preds, off, mse, mae, grad, G, g}
}

// The slice through w along parameters i and j: its lowest point, curvatures and directions.
function slice({G, g, mse}, w, i, j) {
  const rest = k => g[k] - G[k].reduce((s, v, m) => (m === i || m === j ? s : s + v * w[m]), 0)
  const [a, b, c, p, q] = [G[i][i], G[i][j], G[j][j], rest(i), rest(j)]
  const angle = Math.atan2(2 * b, a - c) / 2
  const cos = Math.cos(angle)
  const sin = Math.sin(angle)
  const mid = (a + c) / 2
  const half = Math.hypot((a - c) / 2, b)
  const big = Math.max(mid + half, 1e-12)
  const small = Math.max(mid - half, big * 1e-7)
  const u = (cos * p + sin * q) / big
  const v = (cos * q - sin * p) / small
  const at = [cos * u - sin * v, sin * u + cos * v]
  const low = w.slice()
  low[i] = at[0]
  low[j] = at[1]
  return {at, big, small, angle: (angle * 180) / Math.PI, lowest: mse(low)}
}

// The step of the sliders, and of a hand on the surface.
const stepping = ([lo, hi]) => (hi - lo) / 100

function surface({data, maths, pick, settle}) {
  const {names, ends, floor, top} = data
  const step = stepping(ends)
  const pairs = []
  names.forEach((_, i) => names.forEach((_, j) => i < j && pairs.push([i, j])))
  const levels = HEAT.slice(0, -1).map((_, k) => floor + (top - floor) * 0.55 ** (HEAT.length - 1 - k))
  const holder = make('div')
  const choose = make(
    'select',
    {
      'aria-label': 'parameters of the loss surface',
      'data-lm-suppress-shortcuts': 'true',
      change: () => build(),
      input: () => {}
    },
    ...pairs.map(([i, j], k) => make('option', {value: k}, `${names[i]}, ${names[j]}`))
  )
  let i, j, c, rings, here, trails, stops, best, last, drawn
  function build() {
    ;[i, j] = pairs[choose.value]
    c = plot({
      width: 360,
      height: 270,
      x: ends,
      y: ends,
      xname: names[i],
      yname: names[j],
      right: 58
    })
    rings = levels.map((_, k) => draw('ellipse', {fill: HEAT[k], class: 'ch-ring'})).reverse()
    const map = draw('g', {}, ...rings)
    const ground = draw('rect', {fill: HEAT.at(-1)})
    const legend = draw('g')
    trails = [draw('path', {class: 'ch-trail under'}), draw('path', {class: 'ch-trail'})]
    stops = draw('path', {class: 'ch-stops'})
    best = draw('path', {class: 'ch-best', d: 'M0-6L6 0L0 6L-6 0Z'})
    here = draw('circle', {class: 'ch-here', r: 6})
    c.inside.append(
      ground,
      map,
      ...trails,
      stops,
      best,
      here
    )
    c.svg.append(legend)
    const lay = () => {
      const wide = ends[1] - ends[0]
      const [px, py] = [(c.r - c.l) / wide, (c.t - c.b) / wide]
      set(map, {transform: `matrix(${px} 0 0 ${py} ${c.sx(0)} ${c.sy(0)})`})
      set(ground, {x: c.l, y: c.t, width: c.r - c.l, height: c.b - c.t})
      const tall = (c.b - c.t) / HEAT.length
      const bars = HEAT.map((fill, k) =>
        draw('rect', {x: c.r + 9, y: c.b - (k + 1) * tall, width: 10, height: tall + 0.5, fill})
      )
      const values = levels.map((v, k) =>
        draw('text', {class: 'ch-small', x: c.r + 22, y: c.b - (k + 1) * tall + 4}, short(+v.toPrecision(2)))
      )
      legend.replaceChildren(...bars, ...values.filter((_, k) => k % 3 === 0))
      if (last) show(last)
    }
    if (pick) {
      const move = e => {
        const r = c.svg.getBoundingClientRect()
        const k = c.width / r.width
        const w = last.w.slice()
        const snap = v => +clamp(Math.round(v / step) * step, ...ends).toFixed(8)
        w[i] = snap(c.sx.back((e.clientX - r.left) * k))
        w[j] = snap(c.sy.back((e.clientY - r.top) * k))
        pick(w)
      }
      c.svg.classList.add('ch-pick')
      c.svg.addEventListener('pointerdown', e => {
        c.svg.setPointerCapture(e.pointerId)
        move(e)
        e.preventDefault()
      })
      c.svg.addEventListener('pointermove', e => c.svg.hasPointerCapture(e.pointerId) && move(e))
      c.svg.addEventListener('pointerup', () => settle())
    }
    holder.replaceChildren(c.svg)
    drawn = ''
    c.keep(lay)
    if (last) c.fit()
  }
  function show(state) {
    last = state
    const {w, path, star, through = w} = state // the other parameters are held as in `through`
    const key = through.filter((_, m) => m !== i && m !== j).join()
    if (key !== drawn) {
      drawn = key
      const s = slice(maths, through, i, j)
      rings.forEach((ring, k) => {
        const over = Math.max(levels[levels.length - 1 - k] - s.lowest, 0)
        set(ring, {
          rx: Math.sqrt(over / s.big),
          ry: Math.sqrt(over / s.small),
          transform: `translate(${s.at}) rotate(${s.angle})`
        })
      })
    }
    const px = v => clamp(c.sx(v[i]), -999, 1999).toFixed(1)
    const py = v => clamp(c.sy(v[j]), -999, 1999).toFixed(1)
    set(here, {cx: clamp(c.sx(w[i]), c.l, c.r), cy: clamp(c.sy(w[j]), c.t, c.b)})
    const d = path.map((v, k) => `${k ? 'L' : 'M'}${px(v)} ${py(v)}`).join('')
    trails.forEach(t => set(t, {d}))
    set(stops, {d: path.length > 60 ? '' : path.map(v => `M${px(v)} ${py(v)}h0`).join('')})
    set(best, {transform: star ? `translate(${px(star)} ${py(star)})` : 'translate(-99 -99)'})
  }
  build()
  const alt = text => set(c.svg, {'aria-label': text})
  const which = pairs.length > 1 ? [make('label', {}, 'over ', choose)] : []
  const spot = make('span', {class: 'ch-spot'}, '●')
  const lowest = make('span', {class: 'ch-lowest'}, '◆')
  const key = make('span', {class: 'ch-key'}, spot, ' here ', lowest, ' best')
  const pair = () => [names[i], names[j]]
  return {node: panel(title('Loss surface', key, ...which), holder), show, alt, pair, fit: () => c.fit()}
}
