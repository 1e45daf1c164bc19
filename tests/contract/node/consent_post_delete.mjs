// A run of twitter-api-v2 as its own documentation shows it: consent, tokens, posts, media, a refresh, the end of a token.
// Only the way to the host is ours. The last line of the output is JSON of what the client was told.

import { request } from 'node:http';
import { Agent } from 'node:https';
import { connect } from 'node:net';
import { TwitterApi } from 'twitter-api-v2';

const { url, clientId, clientSecret, redirectUri, appKey, appSecret, accessToken, accessSecret } = JSON.parse(process.argv[2]);
const sandbox = new URL(url);

// The client speaks HTTP over whatever connection its agent makes.
class ToSandbox extends Agent {
  createConnection() {
    return connect(Number(sandbox.port), sandbox.hostname);
  }
}

const settings = { httpAgent: new ToSandbox({ keepAlive: false }) };
const PICTURE = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(2000)]);
const FILM = Buffer.concat([Buffer.alloc(4), Buffer.from('ftyp'), Buffer.alloc(1000)]);

// What a person does with the page: read it, choose an account, allow.
function consent(link) {
  const asked = new URL(link);
  const form = new URLSearchParams(asked.search);
  form.set('username', 'alice');
  form.set('decision', 'allow');
  return new Promise((resolve, reject) => {
    const page = request(new URL(asked.pathname, sandbox), { method: 'POST' }, (answer) => {
      answer.resume();
      if (answer.statusCode !== 302) reject(new Error(`the consent page answered ${answer.statusCode}`));
      resolve(new URL(answer.headers.location ?? redirectUri));
    });
    page.on('error', reject);
    page.setHeader('content-type', 'application/x-www-form-urlencoded');
    page.end(form.toString());
  });
}

async function refusal(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return { code: error.code, detail: error.data?.detail ?? error.data?.error_description };
  }
}

const app = new TwitterApi({ clientId, clientSecret }, settings);
const scope = ['tweet.read', 'tweet.write', 'users.read', 'media.write', 'offline.access'];
const link = app.generateOAuth2AuthLink(redirectUri, { scope });
const back = await consent(link.url);
if (back.searchParams.get('state') !== link.state) throw new Error('the state came back changed');
const code = back.searchParams.get('code');
const login = await app.loginWithOAuth2({ code, codeVerifier: link.codeVerifier, redirectUri });
const me = await login.client.v2.me();

const refreshed = await app.refreshOAuth2Token(login.refreshToken);
const client = refreshed.client.v2;
const single = await client.tweet('Hello from Node');
const thread = await client.tweetThread(['One of three', 'Two of three', 'Three of three']);
const picture = await client.uploadMedia(PICTURE, { media_type: 'image/png' }, 1000);
await client.createMediaMetadata(picture, { alt_text: { text: 'Rain' } });
const film = await client.uploadMedia(FILM, { media_type: 'video/mp4' });
const pictured = await client.tweet('With a picture', { media: { media_ids: [picture] } });
const filmed = await client.tweet('With a film', { media: { media_ids: [film] } });
const poll = await client.tweet('Which?', { poll: { options: ['a', 'b'], duration_minutes: 60 } });
const quote = await client.quote('Quoted', single.data.id);
const deleted = await client.deleteTweet(single.data.id);

const timeline = await client.userTimeline(me.data.id, {
  max_results: 5,
  expansions: ['attachments.media_keys', 'referenced_tweets.id'],
  'media.fields': ['alt_text', 'type'],
});
await timeline.fetchNext();
const duplicate = await refusal(() => client.tweet('One of three'));
const replay = await refusal(() => app.refreshOAuth2Token(login.refreshToken));
const afterReplay = await refusal(() => client.me());

const again = await app.loginWithOAuth2({
  code: (await consent(link.url)).searchParams.get('code'),
  codeVerifier: link.codeVerifier,
  redirectUri,
});
await app.revokeOAuth2Token(again.accessToken);
const afterRevoke = await refusal(() => again.client.v2.me());

// The older ways in: OAuth 1.0a with version 1.1 of the media endpoints, and an app that reads for nobody.
const signed = new TwitterApi({ appKey, appSecret, accessToken, accessSecret }, settings);
const media = await signed.v1.uploadMedia(PICTURE, { mimeType: 'image/png', chunkLength: 1000 });
await signed.v1.createMediaMetadata(media, { alt_text: { text: 'Snow' } });
const old = await signed.v2.tweet('Signed', { media: { media_ids: [media] } });
const reader = await new TwitterApi({ appKey, appSecret }, settings).appLogin();
const seen = await reader.v2.singleTweet(old.data.id, {
  expansions: ['attachments.media_keys'],
  'media.fields': ['alt_text'],
});

console.log(
  JSON.stringify({
    me: me.data.username,
    expiresIn: login.expiresIn,
    thread: thread.map((part) => part.data.text),
    posts: { pictured: pictured.data.id, filmed: filmed.data.id, poll: poll.data.id, quote: quote.data.id },
    deleted: deleted.data.deleted,
    timeline: timeline.tweets.map((post) => post.text),
    media: timeline.includes.media.map((media) => [media.type, media.alt_text ?? null]),
    limit: timeline.rateLimit.limit,
    seen: [seen.data.text, seen.includes.media[0].alt_text],
    refusals: { duplicate, replay, afterReplay, afterRevoke },
  }),
);
