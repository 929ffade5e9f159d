// sampler: a text grows character by character; a slider chooses how bold the draws are, and bars show what could come.
// Blanks in a row are dots, else a text of blanks alone would look empty.

function render({model, el}) {
  const {given, texts, bars} = model.get('data') // of each temperature: the text, and what could come at each place
  let at, length
  const temperatures = model.get('data').temperatures
  const most = texts[0].length
  const out = make('div', {class: 'cl-out', tabindex: 0, role: 'group', 'aria-label': 'the text'})
  const rows = make('div', {})
  const heat = track({
    min: 0,
    max: temperatures.length - 1,
    step: 1,
    'aria-label': 'temperature',
    input: () => turn(+heat.value, length),
    change: () => tell()
  })
  const size = track({
    min: 1,
    max: most,
    step: 1,
    'aria-label': 'characters written',
    input: () => turn(at, +size.value),
    change: () => tell()
  })
  const [hot, long] = [make('span'), make('span')]
  const grow = () => length < most && (turn(at, length + 1), true)
  const play = player('write', 60, grow, () => tell())
  const again = button('from the start', () => {
    play.halt()
    turn(at, 1)
    tell()
  })
  const hand = panel(
    knobRow('temperature', heat, hot, ' long'),
    knobRow('characters', size, long, ' long'),
    make('div', {class: 'ch-bar'}, play.node, again),
    title('What could have come here'),
    rows
  )
  const {say} = shell(el, make('div', {class: 'ch-cols'}, panel(title('The text so far'), out), hand))
  const send = exchange(model, ['at', 'length'], () => ({at, length}), load)

  const there = () => {
    const [characters, percents] = bars[at][length - 1]
    return [...characters].map((c, i) => [c, percents[i]])
  }
  function bar([c, percent], drawn) {
    return make(
      'div',
      {class: `cl-bar${drawn ? ' drawn' : ''}`},
      make('span', {}, seen(c)),
      make('span', {class: 'cl-track', 'aria-hidden': 'true'}, make('i', {style: `width:${percent}%`})),
      make('span', {class: 'cl-part'}, `${percent} %`)
    )
  }
  function words() {
    const last = texts[at][length - 1]
    const found = there().find(([c]) => c === last)
    const chance = found ? `a chance of ${found[1]} %` : 'a chance of its own below the bars'
    return `Temperature ${temperatures[at]}: character ${length} is ${spoken(last)}, ${chance}.`
  }
  const tell = () => say(words())
  function redraw() {
    const text = texts[at].slice(0, length).replace(/ {2,}/g, blanks => '·'.repeat(blanks.length))
    out.replaceChildren(
      make('span', {class: 'given'}, given),
      text.slice(0, -1),
      make('span', {class: 'last'}, text.at(-1) === '\n' ? '↵\n' : text.at(-1))
    )
    rows.replaceChildren(...there().map(pair => bar(pair, pair[0] === texts[at][length - 1])))
    heat.value = at
    heat.setAttribute('aria-valuetext', String(temperatures[at]))
    size.value = length
    write(hot, String(temperatures[at]))
    write(long, `${length} of ${most}`)
  }
  function turn(to, upto) {
    at = to
    length = upto
    redraw()
    send()
  }
  function load() {
    at = model.get('at')
    length = model.get('length')
    redraw()
    tell()
  }
  load()
  return () => {
    play.halt()
    send.end()
  }
}
export default {render}
