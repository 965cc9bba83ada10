"""Runs OpenClaw once while its image is made, so that what Node compiles for it is kept in the image.

A tenant's root is read-only and its /tmp is new at each start: without this every start compiles all of it again.
"""

from __future__ import annotations

CACHE = "/opt/agent/compile-cache"
"""Node's own folder for what it has compiled; it goes by path, content, version of Node and user."""

# One start and one turn, of a model that says one word. A version that doesn't come up so is no worse an image than
# without; whether it runs is for its tenants' probes to say.
WARM_OPENCLAW = """
const {spawn} = require('node:child_process'), fs = require('node:fs'), http = require('node:http')
const home = fs.mkdtempSync('/tmp/warm-'), token = 'only-while-the-image-is-made', port = 18789
const url = path => `http://127.0.0.1:${port}${path}`
const model = http.createServer((request, response) => request.resume().on('end', () => {
  response.setHeader('content-type', 'text/event-stream')
  for (const [delta, finish_reason] of [[{role: 'assistant', content: 'Hello.'}, null], [{}, 'stop']])
    response.write('data: ' + JSON.stringify({
      id: '1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{index: 0, delta, finish_reason}],
    }) + '\\n\\n')
  response.end('data: [DONE]\\n\\n')
}))
model.listen(0, '127.0.0.1', async () => {
  fs.mkdirSync(process.argv[1])
  fs.mkdirSync(home + '/.openclaw')
  fs.writeFileSync(home + '/.openclaw/openclaw.json', JSON.stringify({
    gateway: {
      mode: 'local', port, bind: 'loopback', auth: {mode: 'token', token}, terminal: {enabled: false},
      controlUi: {enabled: true}, http: {endpoints: {chatCompletions: {enabled: true}, responses: {enabled: true}}},
    },
    agents: {defaults: {
      workspace: home + '/workspace', model: {primary: 'warm/m'}, skipBootstrap: true, heartbeat: {every: '0m'},
    }},
    models: {mode: 'replace', catalogRefresh: {enabled: false}, providers: {warm: {
      baseUrl: `http://127.0.0.1:${model.address().port}/v1`, apiKey: 'none', api: 'openai-completions',
      models: [{id: 'm', name: 'm', reasoning: false, input: ['text'], contextWindow: 128000, maxTokens: 8192,
                cost: {input: 0, output: 0, cacheRead: 0, cacheWrite: 0}}],
    }}},
    update: {checkOnStart: false, auto: {enabled: false}}, telemetry: {enabled: false},
    discovery: {mdns: {mode: 'off'}}, browser: {enabled: false}, skills: {load: {watch: false}},
    plugins: {entries: {'admin-http-rpc': {enabled: true}}},
  }), {mode: 0o600})
  const gateway = spawn('node', ['dist/index.js', 'gateway', '--port', String(port)], {
    cwd: '/opt/agent/node_modules/openclaw', stdio: 'inherit',
    env: {
      PATH: process.env.PATH, NODE_ENV: 'production', NODE_COMPILE_CACHE: process.argv[1], HOME: home,
      OPENCLAW_HOME: home, OPENCLAW_STATE_DIR: home + '/.openclaw', OPENCLAW_WORKSPACE_DIR: home + '/workspace',
      OPENCLAW_CONFIG_PATH: home + '/.openclaw/openclaw.json', OPENCLAW_DISABLE_BONJOUR: '1',
      OPENCLAW_NO_AUTO_UPDATE: '1', OPENCLAW_OFFLINE: '1', OPENCLAW_SUPERVISOR_MODE: 'external',
    },
  })
  const ended = new Promise(resolve => gateway.on('exit', resolve))
  const pause = () => new Promise(resolve => setTimeout(resolve, 500))
  const ask = (path, body) => fetch(url(path), {
    method: body ? 'POST' : 'GET', body: body && JSON.stringify(body), signal: AbortSignal.timeout(60000),
    headers: {authorization: `Bearer ${token}`, 'content-type': 'application/json'},
  })
  const until = Date.now() + 240000
  let started = false
  while (!started && Date.now() < until && gateway.exitCode === null) {
    await pause()
    started = await ask('/startupz').then(async answer => (await answer.json()).ok === true, () => false)
  }
  if (started) {
    const messages = [{role: 'user', content: 'hello'}]
    const answer = await ask('/v1/chat/completions', {model: 'openclaw', messages}).catch(error => error)
    console.log('warmed:', answer.status ?? answer)
  }
  gateway.kill('SIGTERM')
  setTimeout(() => gateway.kill('SIGKILL'), 30000).unref()
  await ended
  fs.rmSync(home, {recursive: true, force: true})
  process.exit(0)
})
"""
