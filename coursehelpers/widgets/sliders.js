// A number box, and a slider with a number box: made here, and given their size and look in sliders.css.

// A number box: bad() hears why a typed number was refused; the box then shows the old value again.
function box({label, name = label, value, step, ok = Number.isFinite, why = 'a finite number', move, settle, bad}) {
  let now = value
  const input = make('input', {
    type: 'number',
    step,
    'aria-label': name,
    'data-lm-suppress-shortcuts': 'true',
    input: () => {
      const v = input.valueAsNumber
      if (ok(v)) move((now = v))
    },
    change: () => {
      ok(input.valueAsNumber) ? settle() : bad(`${label} must be ${why}: kept ${short(now)}.`)
      show(now, true)
    }
  })
  function show(v, force) {
    now = v
    if (force || document.activeElement !== input) input.value = +v.toFixed(4) || (v ? +v.toPrecision(3) : 0)
  }
  show(value, true)
  return {input, show}
}
const rateBox = options =>
  box({label: 'learning rate', step: 'any', ok: v => v > 0 && v <= 1e6, why: 'a number above 0', ...options})
// The bare slider; JupyterLab would take its arrow keys and letters as commands.
const track = attrs => make('input', {type: 'range', 'data-lm-suppress-shortcuts': 'true', ...attrs})
// One line: a name, a slider and a number box.
const knobRow = (label, slider, number, long = '') =>
  make('div', {class: `ch-knob${long}`}, make('span', {class: 'ch-name', 'aria-hidden': 'true'}, label), slider, number)
// A slider and a number box for one number. The slider stops at its ends; the box always tells the real value.
function knob({label, value, lo, hi, step, move, settle, bad}) {
  const slider = track({
    min: lo,
    max: hi,
    step,
    'aria-label': label,
    input: () => {
      const v = +slider.value
      number.show(v, true)
      tell(v)
      move(v)
    },
    change: () => settle()
  })
  const number = box({
    label,
    name: `${label}, exact value`,
    value,
    step,
    move: v => {
      slider.value = v
      tell(v)
      move(v)
    },
    settle,
    bad,
    ok: v => Math.abs(v) <= 1e6,
    why: 'a number between −1,000,000 and 1,000,000'
  })
  const tell = v => slider.setAttribute('aria-valuetext', short(v))
  const show = v => {
    slider.value = v
    tell(v)
    number.show(v)
  }
  show(value)
  return {row: knobRow(label, slider, number.input), show, slider}
}
