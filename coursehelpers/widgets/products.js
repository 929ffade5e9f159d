// see_product: a on the left, b on top, and each number of a @ b where its row meets its column.
// One step is one multiplication.

const MOST = 8
const W = 44
const H = 28
const GAP = 30

const size = t => [t.length, t[0].length]
const fits = (a, b) => a[0].length === b.length
const steps = (a, b) => (fits(a, b) ? a.length * b[0].length * b.length : 0)
// Where step `at` stands (1 is the first multiplication): row i, column j, place k. 0 and misfits have no place.
function where(a, b, at) {
  if (!at || !fits(a, b)) return null
  const K = b.length
  const m = b[0].length
  const cell = Math.floor((at - 1) / K)
  return {i: Math.floor(cell / m), j: cell % m, k: (at - 1) % K}
}
const meet = (a, b, i, j, upto) => {
  let sum = 0
  for (let k = 0; k < upto; k++) sum += a[i][k] * b[k][j]
  return sum
}
const brief = v => short(+v)
const factor = v => (v < 0 ? `(${brief(v)})` : brief(v))
// The numbers of the result so far: null where no multiplication has been done.
function sofar(a, b, at) {
  const K = b.length
  const m = b[0].length
  return a.map((_, i) =>
    b[0].map((_, j) => {
      const k = clamp(at - (i * m + j) * K, 0, K)
      return k ? meet(a, b, i, j, k) : null
    })
  )
}
function tell(a, b, at) {
  const [n, k] = size(a)
  const [k2, m] = size(b)
  if (!fits(a, b))
    return (
      `(${n}, ${k}) @ (${k2}, ${m}) does not fit. The two in the middle must be equal: ` +
      `a row of a has ${k}, a column of b ${k2}.`
    )
  const p = where(a, b, at)
  if (!p) return `(${n}, ${k}) @ (${k}, ${m}) gives (${n}, ${m}): 0 of ${steps(a, b)} multiplications done.`
  const parts = Array.from({length: p.k + 1}, (_, q) => `${brief(a[p.i][q])}·${factor(b[q][p.j])}`)
  const sum = brief(meet(a, b, p.i, p.j, p.k + 1))
  const start = `Row ${p.i} meets column ${p.j}: ${parts.join(' + ')}`
  if (p.k < k - 1) return `${start} + … = ${sum} so far`
  return `${start} = ${sum}${at === steps(a, b) ? '. All done.' : '. Done.'}`
}

function render({model, el}) {
  let a, b, at
  let chosen = null
  let picked = false
  let timer = 0
  let geo = ''
  let shown = []
  const digit = () => Math.floor(Math.random() * 10)

  // The picture: cells are made when the shapes change, a move only shifts the marks and writes what changed
  const board = draw('g')
  const row = draw('rect', {class: 'cm-row'})
  const col = draw('rect', {class: 'cm-col'})
  const spots = [0, 1, 2].map(() => draw('rect', {class: 'cm-spot'}))
  const svg = draw('svg', {role: 'img', tabindex: 0, 'data-lm-suppress-shortcuts': 'true'}, row, col, board, ...spots)
  const holder = make('div', {class: 'cm-sheet'}, svg)
  svg.addEventListener('keydown', e => {
    const turn = {
      ArrowRight: () => step(1),
      ArrowLeft: () => step(-1),
      ArrowDown: () => step(1, true),
      ArrowUp: () => step(-1, true),
      Home: () => go(0),
      End: () => go(steps(a, b)),
      ' ': () => play()
    }[e.key]
    if (turn) {
      e.preventDefault()
      turn()
    }
  })

  // The controls
  const bad = text => say(text, true)
  const back = button('back', () => step(-1))
  const ahead = button('step', () => step(1))
  const run = button('play', () => play())
  const slider = track({
    min: 0,
    'aria-label': 'multiplications done',
    input: () => go(+slider.value),
    keydown: e => {
      if (e.key === ' ') {
        e.preventDefault()
        play()
      }
    }
  })
  const shape = (name, get, put) =>
    box({
      label: name,
      value: 1,
      step: 1,
      ok: v => Number.isInteger(v) && v >= 1 && v <= MOST,
      why: `a whole number from 1 to ${MOST}`,
      move: v => {
        if (v !== get()) reshape(put, v)
      },
      settle: () => send(),
      bad
    })
  const rows = (t, n, m = t[0].length) =>
    Array.from({length: n}, (_, i) => Array.from({length: m}, (_, j) => t[i]?.[j] ?? digit()))
  const sizes = [
    shape(
      'rows of a',
      () => a.length,
      v => {
        a = rows(a, v)
      }
    ),
    shape(
      'columns of a',
      () => a[0].length,
      v => {
        a = rows(a, a.length, v)
      }
    ),
    shape(
      'rows of b',
      () => b.length,
      v => {
        b = rows(b, v)
      }
    ),
    shape(
      'columns of b',
      () => b[0].length,
      v => {
        b = rows(b, b.length, v)
      }
    )
  ]
  const fresh = button('fresh numbers', () => {
    halt()
    a = a.map(r => r.map(digit))
    b = b.map(r => r.map(digit))
    redraw()
    send()
    speak()
  })
  const which = make('select', {
    'aria-label': 'number to change',
    'data-lm-suppress-shortcuts': 'true',
    change: () => choose(which.value)
  })
  const value = box({
    label: 'its value',
    value: 0,
    step: 'any',
    ok: v => Math.abs(v) <= 1e4,
    why: 'a number between −10,000 and 10,000',
    bad,
    settle: () => {
      send()
      speak()
    },
    move: v => {
      halt()
      const [t, i, j] = parse(chosen)
      t[i][j] = Math.fround(v)
      redraw()
      send()
    }
  })
  const bars = [
    make('div', {class: 'ch-bar'}, back, ahead, run),
    make(
      'div',
      {class: 'ch-bar cm-size'},
      'a ',
      sizes[0].input,
      '×',
      sizes[1].input,
      ' b ',
      sizes[2].input,
      '×',
      sizes[3].input,
      fresh
    ),
    make('div', {class: 'ch-bar'}, make('label', {}, 'change ', which), make('label', {}, ' to ', value.input))
  ]
  const {voice, say} = shell(
    el,
    make('div', {class: 'cm-cols'}, holder, make('div', {class: 'ch-panel'}, slider, ...bars))
  )
  el.querySelector('.ch').classList.add('cm-wrap')
  el.querySelector('.ch').insertBefore(voice, el.querySelector('.cm-cols'))

  // State
  const parse = name => {
    const [t, i, j] = name.split(' ')
    return [t === 'a' ? a : b, +i, +j]
  }
  const load = () => {
    a = model.get('a').map(r => [...r])
    b = model.get('b').map(r => [...r])
    at = model.get('at')
  }
  const send = exchange(
    model,
    ['a', 'b', 'at'],
    () => ({a: a.map(r => [...r]), b: b.map(r => [...r]), at}),
    () => {
      halt()
      load()
      at = Math.min(at, steps(a, b))
      redraw()
    }
  )
  function reshape(put, v) {
    halt()
    put(v)
    at = Math.min(at, steps(a, b))
    redraw()
    send()
    speak()
  }
  function go(to, playing) {
    if (!playing) halt()
    if (picked) {
      picked = false
      mark()
    }
    at = clamp(to, 0, steps(a, b))
    redraw(false)
    send()
  }
  function step(way, cell) {
    const K = b.length
    go(cell ? (way > 0 ? Math.floor(at / K) + 1 : Math.ceil(at / K) - 1) * K : at + way)
  }
  function play() {
    if (timer) return halt()
    if (!fits(a, b)) return
    if (at === steps(a, b)) go(0)
    if (calm()) return go(steps(a, b))
    write(run, 'stop')
    voice.setAttribute('aria-live', 'off')
    const next = () => {
      go(at + 1, true)
      at < steps(a, b) ? (timer = setTimeout(next, 450)) : halt()
    }
    timer = setTimeout(next, 60)
  }
  function halt() {
    clearTimeout(timer)
    if (!timer) return
    timer = 0
    write(run, 'play')
    voice.setAttribute('aria-live', 'polite')
  }
  function choose(name) {
    chosen = name
    const [t, i, j] = parse(name)
    which.value = name
    picked = true
    value.show(t[i][j], true)
    mark()
  }

  // Drawing
  const text = (x, y, words, cls = 'cm-n') => draw('text', {x: x + W / 2, y: y + H / 2, class: cls}, words)
  const put = (node, v, now) => {
    write(node, v === null ? '·' : brief(v))
    set(node, {class: `cm-n${node.textContent.length > 4 ? ' small' : ''}${now ? ' now' : ''}`})
  }
  let ax, ay, bx, by, nums, hits
  function build() {
    const [n, k] = size(a)
    const [k2, m] = size(b)
    ax = 12
    bx = ax + k * W + GAP
    by = 26
    ay = by + k2 * H + GAP
    const width = Math.max(bx + m * W + 12, 300)
    const height = ay + n * H + 26
    // Never so small that a cell is hard to hit or to read: what is wider than its place is scrolled
    set(svg, {viewBox: `0 0 ${width} ${height}`, style: `max-width:${width}px;min-width:${0.9 * width}px`})
    holder.style.flexBasis = `${width}px`
    board.replaceChildren()
    hits = {}
    const grid = (t, x, y, name) =>
      t.map((r, i) =>
        r.map((v, j) => {
          const node = text(x + j * W, y + i * H, '')
          const hit = draw('rect', {
            x: x + j * W,
            y: y + i * H,
            width: W,
            height: H,
            class: `cm-hit ${name === 'c' && !fits(a, b) ? 'cm-none' : 'cm-cell'}`,
            click: () =>
              name === 'c'
                ? fits(a, b) && go((i * m + j + 1) * b.length)
                : (choose(`${name} ${i} ${j}`), value.input.focus({preventScroll: true}), value.input.select())
          })
          hits[`${name} ${i} ${j}`] = hit
          board.append(hit, node)
          return node
        })
      )
    nums = {a: grid(a, ax, ay, 'a'), b: grid(b, bx, by, 'b'), c: grid(sofar(a, b, 0), bx, ay, 'c')}
    const loud = fits(a, b) ? 'cm-name' : 'cm-bad'
    const label = (x, y, words, cls) => board.append(draw('text', {x, y, class: cls, 'text-anchor': 'middle'}, words))
    label(bx + (m * W) / 2, by - 10, `b: ${k2} × ${m}`, loud)
    label(ax + (k * W) / 2, ay + n * H + 19, `a: ${n} × ${k}`, loud)
    label(bx + (m * W) / 2, ay + n * H + 19, fits(a, b) ? `a @ b: ${n} × ${m}` : 'no a @ b', loud)
    if (!fits(a, b)) misfit(k, k2)
    which.replaceChildren(
      ...['a', 'b'].flatMap(name =>
        nums[name].flatMap((r, i) =>
          r.map((_, j) => make('option', {value: `${name} ${i} ${j}`}, `${name}[${i}, ${j}]`))
        )
      )
    )
    if (!chosen || !hits[chosen]) chosen = 'a 0 0'
    which.value = chosen
    ;[n, k, k2, m].forEach((v, i) => sizes[i].show(v))
  }
  // What is left over when row 0 meets column 0: crossed and red
  function misfit(k, k2) {
    for (let q = Math.min(k, k2); q < Math.max(k, k2); q++) {
      const [x, y] = k > k2 ? [ax + q * W, ay] : [bx, by + q * H]
      board.append(
        draw('rect', {x, y, width: W, height: H, class: 'cm-left'}),
        draw('path', {d: `M${x} ${y}l${W} ${H}m0 ${-H}l${-W} ${H}`, class: 'cm-bar'})
      )
    }
  }
  const place = (node, x, y, w, h) => set(node, {x, y, width: Math.max(w, 0), height: Math.max(h, 0)})
  function mark() {
    for (const name in hits) hits[name].classList.toggle('picked', picked && name === chosen)
  }
  function redraw(all = true) {
    const [n, k] = size(a)
    const [k2, m] = size(b)
    const key = [n, k, k2, m].join()
    const ok = fits(a, b)
    const p = where(a, b, at) || (ok ? null : {i: 0, j: 0, k: -1})
    if (key !== geo) {
      geo = key
      build()
      shown = []
      all = true
    }
    const tables = [['c', ok ? sofar(a, b, at) : null]]
    if (all) tables.push(['a', a], ['b', b])
    for (const [name, t] of tables)
      nums[name].forEach((r, i) =>
        r.forEach((node, j) => {
          const v = t ? t[i][j] : null
          const now = !!p && name === 'c' && ok && i === p.i && j === p.j
          const old = name + i + ',' + j
          const state = `${v} ${now}`
          if (shown[old] !== state) {
            shown[old] = state
            t ? put(node, v, now) : write(node, '?')
          }
        })
      )
    p ? place(row, ax, ay + p.i * H, k * W, H) : place(row, 0, 0, 0, 0)
    p ? place(col, bx + p.j * W, by, W, k2 * H) : place(col, 0, 0, 0, 0)
    if (p) holder.scrollLeft = Math.max(0, bx + (p.j + 1) * W + 12 - holder.clientWidth)
    const at3 =
      p && ok
        ? [
            [ax + p.k * W, ay + p.i * H],
            [bx + p.j * W, by + p.k * H],
            [bx + p.j * W, ay + p.i * H]
          ]
        : []
    spots.forEach((s, q) => (at3[q] ? place(s, at3[q][0] + 1.5, at3[q][1] + 1.5, W - 3, H - 3) : place(s, 0, 0, 0, 0)))
    const most = steps(a, b)
    const words = tell(a, b, at)
    set(slider, {max: most})
    slider.value = at
    slider.disabled = run.disabled = !ok
    back.disabled = !at
    ahead.disabled = at === most
    slider.setAttribute('aria-valuetext', `${at} of ${most}`)
    say(words, !ok)
    set(svg, {'aria-label': `a, ${n} by ${k}, on the left; b, ${k2} by ${m}, above. ${words}`})
    if (!all) return
    const [t, i, j] = parse(chosen)
    value.show(t[i][j])
    mark()
  }
  function speak() {
    say(tell(a, b, at), !fits(a, b))
  }

  load()
  redraw()
  return () => {
    halt()
    send.drop()
    send.end()
  }
}
export default {render}
export {sofar, steps, tell, where}
