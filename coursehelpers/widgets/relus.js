// build_relus: straight pieces that meet at corners, dragged by hand or moved by gradient steps.

// prediction(x) = bias + sum of w * max(0, x - k) over the rows [w, k] of params
function relus(x, y) {
  const at = (params, bias, v) => params.reduce((s, [w, k]) => s + w * Math.max(0, v - k), bias)
  const preds = (params, bias, xs = x) => xs.map(v => at(params, bias, v))
  const off = (params, bias) => x.map((v, i) => at(params, bias, v) - y[i])
  const mean = values => values.reduce((s, v) => s + v, 0) / values.length
  const mse = (params, bias) => mean(off(params, bias).map(r => r * r))
  function grad(params, bias) {
    const r = off(params, bias)
    return {
      bias: 2 * mean(r),
      params: params.map(([w, k]) => [
        2 * mean(r.map((e, i) => e * Math.max(0, x[i] - k))),
        2 * mean(r.map((e, i) => (x[i] > k ? -w * e : 0)))
      ])
    }
  }
  return {at, preds, mse, grad}
}
// Put corner i at (k, h) and leave every other corner, and the slope at the right end, where they are.
function bend(params, bias, i, k, h, gap) {
  const order = params.map((_, j) => j).sort((a, b) => params[a][1] - params[b][1])
  const m = order.indexOf(i)
  const n = order.length
  const height = relus([], []).at
  const corner = t => params[order[t]][1]
  const slopes = [0]
  order.forEach((j, t) => slopes.push(slopes[t] + params[j][0]))
  if (m > 0) k = Math.max(k, corner(m - 1) + gap)
  if (m < n - 1) k = Math.max(Math.min(k, corner(m + 1) - gap), m > 0 ? corner(m - 1) + 1e-3 * gap : -Infinity)
  if (m > 0) slopes[m] = (h - height(params, bias, corner(m - 1))) / (k - corner(m - 1))
  if (m < n - 1) slopes[m + 1] = (height(params, bias, corner(m + 1)) - h) / Math.max(corner(m + 1) - k, 1e-3 * gap)
  const next = params.map(p => [...p])
  order.forEach((j, t) => {
    next[j][0] = slopes[t + 1] - slopes[t]
  })
  next[i][1] = k
  return {params: next, bias: m === 0 ? h : bias}
}

function render({model, el}) {
  const data = model.get('data')
  const {x, y, xlim, ylim, start, step, most} = data
  const maths = relus(x, y)
  const wide = xlim[1] - xlim[0]
  const ends = [xlim[0], xlim[1]]
  let params, bias, lr
  let steps = 0
  let chosen = 0

  const c = plot({width: 720, height: 320, least: 210, x: xlim, y: ylim, xname: 'x', yname: 'y'})
  const faint = draw('path', {class: 'ch-faint'})
  const curve = draw('path', {class: 'ch-curve'})
  const handles = draw('g')
  c.inside.append(faint)
  dots(c, x, y)
  c.inside.append(curve)
  c.svg.append(handles)
  c.svg.classList.add('ch-hold')
  set(c.svg, {role: 'group', 'aria-label': 'Sum of ReLUs and the data'})
  const tail = draw(
    'g',
    {class: 'ch-tail'},
    draw('title', {}, 'drag: the slope at the right end'),
    draw('rect', {class: 'ch-hit', x: -13, y: -13, width: 26, height: 26}),
    draw('rect', {class: 'ch-end', x: -7, y: -7, width: 14, height: 14, rx: 2})
  )
  handles.append(tail)
  let grips = []

  const bad = text => say(text, true)
  const settle = () => {
    send()
    tell()
  }
  const field = (label, name, stepping, put) =>
    box({
      label,
      name,
      value: 0,
      step: stepping,
      bad,
      settle,
      move: v => {
        halt()
        put(v)
        redraw()
        send()
      },
      ok: v => Math.abs(v) <= 1e6,
      why: 'a number between −1,000,000 and 1,000,000'
    })
  const wbox = field('w', 'w, change of slope at the chosen corner', step[0], v => {
    params[chosen][0] = v
  })
  const kbox = field('k', 'k, where the chosen corner is', step[1], v => {
    params[chosen][1] = v
  })
  const bbox = field('bias', 'bias, height before the first corner', step[0], v => {
    bias = v
  })
  const rate = rateBox({
    value: model.get('lr'),
    move: v => {
      lr = v
    },
    settle: () => send(),
    bad
  })
  const which = make('select', {
    'aria-label': 'chosen corner',
    change: () => {
      chosen = +which.value
      redraw()
    }
  })
  const add = button('add a ReLU', () => {
    halt()
    grow()
    redraw()
    send()
    say(`Corner ${chosen + 1} is new. With w = 0 it bends nothing yet: drag it, or descend.`)
  })
  const less = button('remove corner', () => {
    halt()
    params.splice(chosen, 1)
    chosen = Math.max(chosen - 1, 0)
    redraw()
    settle()
  })
  const one = button('one gradient step', () => {
    halt()
    const ok = descend()
    redraw()
    done(ok)
  })
  const go = descent({
    loss: () => maths.mse(params, bias),
    step: () => descend(),
    frame: () => {
      redraw()
      send()
    },
    started: () => say('Descending …'),
    done: ok => done(ok),
    most: 6000
  })
  const halt = go.halt
  const reset = button('reset', () => {
    halt()
    begin()
    redraw()
    send()
    say('Back to the start.')
  })
  const score = scores(['MSE', 'ReLUs', 'steps'])
  const {say} = shell(
    el,
    panel(
      title(
        'Straight pieces that meet at corners',
        make('span', {class: 'ch-key'}, 'faint: each ReLU alone, bold: their sum')
      ),
      c.svg
    ),
    make(
      'div',
      {class: 'ch-bar wide'},
      score.node,
      make(
        'div',
        {class: 'ch-bar'},
        make('label', {}, 'corner ', which),
        make('label', {}, 'w ', wbox.input),
        make('label', {}, 'k ', kbox.input),
        make('label', {}, 'bias ', bbox.input)
      )
    ),
    make('div', {class: 'ch-bar'}, add, less, one, go.node, make('label', {}, 'lr ', rate.input), reset),
    make(
      'div',
      {class: 'ch-key'},
      'Drag a corner, or the square at the right end. Keys on a corner: ← → change k, ↑ ↓ change w.'
    )
  )

  const copy = rows => rows.map(r => [...r])
  function begin() {
    params = copy(start.params)
    bias = start.bias
    steps = 0
    chosen = 0
  }
  function load() {
    params = copy(model.get('params'))
    bias = model.get('bias')
    lr = model.get('lr')
  }
  const send = exchange(
    model,
    ['params', 'bias', 'lr'],
    () => ({
      params: params.map(r => r.map(Math.fround)),
      bias: Math.fround(bias),
      lr
    }),
    () => {
      halt()
      load()
      redraw()
    }
  )
  // A new corner in the widest gap, without any change of slope: the curve stays as it is.
  function grow() {
    const ks = [x[0], ...params.map(p => p[1]), x[x.length - 1]].sort((a, b) => a - b)
    const gaps = ks.slice(1).map((k, i) => k - ks[i])
    const g = gaps.indexOf(Math.max(...gaps))
    const k = +(ks[g] + gaps[g] / 2).toPrecision(4)
    const after = params.findIndex(p => p[1] > k)
    chosen = after < 0 ? params.length : after
    params.splice(chosen, 0, [0, k])
  }
  function descend() {
    const g = maths.grad(params, bias)
    const next = params.map(([w, k], i) => [w - lr * g.params[i][0], k - lr * g.params[i][1]])
    const mse = maths.mse(next, bias - lr * g.bias)
    if (!(mse < 1e9 * (1 + maths.mse(start.params, start.bias)))) return false
    params = next
    bias -= lr * g.bias
    steps++
    return true
  }
  const tell = () => say(`MSE ${num(maths.mse(params, bias))} with ${counted(params.length, 'ReLU')}.`)
  function done(ok) {
    send()
    ok ? tell() : say('The loss exploded: lower the learning rate, then reset.', true)
  }

  // Handles: one for each corner, reached with Tab, and a square at the right end.
  const pointer = (node, move) => {
    const to = e => {
      const r = c.svg.getBoundingClientRect()
      const k = c.width / r.width
      halt()
      move(c.sx.back((e.clientX - r.left) * k), c.sy.back((e.clientY - r.top) * k))
      redraw()
      send()
    }
    node.addEventListener('pointerdown', e => {
      node.setPointerCapture(e.pointerId)
      node.focus?.({preventScroll: true})
      e.preventDefault()
    })
    node.addEventListener('pointermove', e => node.hasPointerCapture(e.pointerId) && to(e))
    node.addEventListener('pointerup', () => settle())
  }
  const inside = (v, [lo, hi]) => clamp(v, lo, hi)
  pointer(tail, (_, h) => {
    const last = params.reduce((m, p, i) => (p[1] > params[m][1] ? i : m), 0)
    const far = ends[1] - params[last][1]
    if (far > wide / 50) params[last][0] += (inside(h, ylim) - maths.at(params, bias, ends[1])) / far
  })
  function grip(i) {
    const g = draw(
      'g',
      {
        class: 'ch-grip',
        tabindex: 0,
        role: 'slider',
        'data-lm-suppress-shortcuts': 'true',
        focus: () => {
          if (chosen !== i) {
            chosen = i
            redraw()
          }
        },
        keydown: e => {
          const by = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0]}[e.key]
          if (!by) return
          e.preventDefault()
          halt()
          params[i] = params[i].map((v, m) => +(v + by[m] * step[m] * (e.shiftKey ? 10 : 1)).toFixed(8))
          redraw()
          send()
          quiet()
        }
      },
      draw('circle', {r: 13, class: 'ch-hit'}),
      draw('circle', {r: 10}),
      draw('text', {'text-anchor': 'middle', y: 4}, String(i + 1))
    )
    pointer(g, (k, h) => {
      const next = bend(params, bias, i, inside(k, ends), inside(h, ylim), wide / 200)
      params = next.params
      bias = next.bias
    })
    return g
  }
  const quiet = later(400, tell)

  function redraw() {
    while (grips.length < params.length) {
      grips.push(grip(grips.length))
      handles.append(grips.at(-1))
      which.append(make('option', {value: grips.length - 1}, String(grips.length)))
    }
    while (grips.length > params.length) {
      grips.pop().remove()
      which.lastChild.remove()
    }
    const knots = [...new Set([ends[0], ...params.map(p => inside(p[1], ends)), ends[1]])].sort((a, b) => a - b)
    set(curve, {d: line(knots, maths.preds(params, bias, knots), c.sx, c.sy)})
    set(faint, {
      d: params
        .map(p => {
          const ks = [ends[0], inside(p[1], ends), ends[1]]
          return line(ks, maths.preds([p], bias, ks), c.sx, c.sy)
        })
        .join('')
    })
    chosen = Math.min(chosen, params.length - 1)
    params.forEach(([w, k], i) => {
      const across = c.sx(inside(k, ends)).toFixed(1)
      const up = c.sy(inside(maths.at(params, bias, k), ylim)).toFixed(1)
      set(grips[i], {
        transform: `translate(${across} ${up})`,
        'aria-label': `corner ${i + 1}`,
        'aria-valuenow': +k.toFixed(4),
        'aria-valuetext': `k ${short(k)}, w ${short(w)}`
      })
      grips[i].classList.toggle('chosen', i === chosen)
    })
    const up = c.sy(inside(maths.at(params, bias, ends[1]), ylim))
    set(tail, {transform: `translate(${c.r} ${up.toFixed(1)})`})
    which.value = chosen
    wbox.show(params[chosen][0])
    kbox.show(params[chosen][1])
    bbox.show(bias)
    rate.show(lr)
    score.show([num(maths.mse(params, bias)), params.length, steps])
    add.disabled = params.length >= most
    less.disabled = params.length < 2
  }
  load()
  c.keep(redraw)
  c.fit()
  return () => {
    halt()
    quiet.drop()
    send.end()
  }
}
export default {render}
export {relus, bend}
