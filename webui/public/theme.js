// Sets the theme and the language before the first paint. They follow the user on the server; this copy avoids a flash.
;(function () {
  var root = document.documentElement
  var kept = {}
  try {
    kept = JSON.parse(localStorage.getItem('sdcpp-rest.look') || '{}')
  } catch {
    // Storage can be forbidden, or hold what an older page wrote.
  }
  var dark = kept.theme === 'dark' || (kept.theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  root.dataset.theme = dark ? 'dark' : 'light'
  if (kept.density === 'compact') root.dataset.density = 'compact'
  if (kept.motion === 'none') root.dataset.motion = 'none'
})()
