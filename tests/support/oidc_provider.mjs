// A real OpenID Connect provider (npm's oidc-provider) with a page to sign in on; see oidc_provider.py.
//
// Reads its configuration as JSON from standard input, ends with it, and says "listening" when it is ready.

import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { Provider } from 'oidc-provider'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const { issuer, port, clients, keys, users, mailInIdToken, refreshes } = JSON.parse((await lines.next()).value)

const provider = new Provider(issuer, {
  clients,
  jwks: { keys },
  cookies: { keys: ['only for tests'] },
  scopes: ['openid', 'email', 'profile', 'groups'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  conformIdTokenClaims: !mailInIdToken,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  issueRefreshToken: async () => refreshes,
  rotateRefreshToken: true,
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  clientBasedCORS: () => false,
  ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600, RefreshToken: 600 },
  findAccount: (_, login) => users[login] && {
    accountId: login,
    claims: () => ({ ...users[login].claims, sub: users[login].claims.sub ?? login }),
  },
  // Everything that is asked for is granted: there is no page for consent.
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
    grant.addOIDCScope('openid email profile groups')
    await grant.save()
    return grant
  },
})

const page = (uid, said) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<h1>Sign in</h1><p role="alert">${said}</p>
<form method="post" action="/interaction/${uid}">
<label>User <input name="login" autocomplete="username" required></label>
<label>Password <input name="password" type="password" required></label>
<button>Sign in</button> <a href="/interaction/${uid}/abort">Cancel</a></form></html>`

async function interact (req, res, uid, abort) {
  if (abort) {
    return provider.interactionFinished(req, res, { error: 'access_denied' })
  }
  const { uid: expected } = await provider.interactionDetails(req, res)
  let said = ''
  if (expected === uid && req.method === 'POST') {
    const form = new URLSearchParams(await body(req))
    const login = form.get('login')
    if (Object.hasOwn(users, login) && users[login].password === form.get('password')) {
      return provider.interactionFinished(req, res, { login: { accountId: login } })
    }
    said = 'That is not right.'
  }
  res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page(expected, said))
}

async function body (req) {
  const chunks = []
  for await (const chunk of req) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const serve = provider.callback()
const server = createServer((req, res) => {
  const found = /^\/interaction\/([\w-]+)(\/abort)?$/.exec(req.url)
  if (!found) return serve(req, res)
  interact(req, res, found[1], Boolean(found[2])).catch((error) => {
    res.writeHead(400, { 'content-type': 'text/plain' }).end(String(error.message))
  })
})
server.listen(port, '127.0.0.1', () => console.log('listening'))

// Further lines change a user's claims, each is answered when it has been done.
for (let line = await lines.next(); !line.done; line = await lines.next()) {
  const { login, claims } = JSON.parse(line.value)
  Object.assign(users[login].claims, claims)
  console.log('done')
}
process.exit()
