import{at as e,et as t,it as n,l as r,rt as i,u as a}from"./PageHeader-Cs5LbiSc.js";import{t as o}from"./SimpleGrid-BM3J5-ds.js";import{t as s}from"./Tabs-DAsh0JYq.js";import{t as c}from"./TextInput-DV8WyQhN.js";import{a as l,n as u,t as d}from"./jsx-runtime-Wy9s6hX0.js";import{t as f}from"./CopyButton-_DBhVCer.js";var p=l(u(),1),m=e=>`'${e.replaceAll(`'`,`'\\''`)}'`,h=e=>JSON.stringify(e).replaceAll(`<`,`\\u003c`).replaceAll(`\u2028`,`\\u2028`).replaceAll(`\u2029`,`\\u2029`),g=e=>e.replaceAll(`&`,`&amp;`).replaceAll(`"`,`&quot;`).replaceAll(`<`,`&lt;`),_=(e,t)=>JSON.stringify({source:{id:e},session:{id:`first-session`},profile:{id:`first-customer`},events:[{type:`purchase`,properties:{amount:25.5,currency:`GBP`}}]},null,t);function v(e,t,n){return[y(e,t),b(e,t),x(e,t),...n?S(e,n):[]]}function y(e,t){return{id:`page`,label:`Web page`,about:`Save it as a file and open it in a browser, or put the two script elements into your pages. It sends a page view; events are kept in the browser until the hub has them.`,code:`<!doctype html>
<title>First event</title>
<script>
window.tracker = {q: [], track(...call) { this.q.push(call) }}
tracker.track('page-view', {page: 'first'})
<\/script>
<script async src="${g(e)}/tracker/tracker.js" data-source="${g(t)}"><\/script>
`}}function b(e,t){return{id:`curl`,label:`curl`,about:`Paste it into a terminal. The answer comes when Kafka has the event.`,code:`curl -sS ${m(`${e}/track`)} -H 'Content-Type: application/json' -d ${m(_(t,2))}
`}}function x(e,t){return{id:`python`,label:`Python`,about:`Python 3, nothing to install. A retry with the same event id is stored once.`,code:`import json
import urllib.request
import uuid

payload = {
    "source": {"id": ${h(t)}},
    "session": {"id": "first-session"},
    "profile": {"id": "first-customer"},
    "events": [
        {"id": str(uuid.uuid4()), "type": "purchase", "properties": {"amount": 25.5, "currency": "GBP"}}
    ],
}
request = urllib.request.Request(
    ${h(`${e}/track`)},
    data=json.dumps(payload).encode(),
    headers={"Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=30) as answer:
    print(answer.status, answer.read().decode())
`}}function S(e,t){return[{id:`segment`,label:`Segment SDK`,about:`pip install segment-analytics-python. Segment’s and RudderStack’s other clients take the same host and write key.`,code:`import segment.analytics as analytics

analytics.write_key = ${h(t)}
analytics.host = ${h(e)}

analytics.track("first-customer", "Order Completed", {"total": 25.5, "currency": "GBP"})
analytics.flush()
`},{id:`segment-http`,label:`Segment HTTP`,about:`The same call without a client, in a terminal.`,code:`curl -sS ${m(`${e}/v1/track`)} -H ${m(`Authorization: Bearer ${t}`)} -d '{
  "event": "Order Completed",
  "userId": "first-customer",
  "properties": {"total": 25.5, "currency": "GBP"}
}'
`}]}function C(e,t){return{id:`kafka`,label:`Kafka`,about:`pip install confluent-kafka. The message has the shape of /track, so the bridge needs no mapping.`,code:`import json
import uuid

from confluent_kafka import Producer

event = {"id": str(uuid.uuid4()), "type": "purchase", "properties": {"amount": 25.5, "currency": "GBP"}}
message = {"profile": {"id": "first-customer"}, "events": [event]}

producer = Producer({"bootstrap.servers": ${h(e)}})
producer.produce(
    ${h(t)},
    json.dumps(message).encode(),
    key=b"first-customer",
    on_delivery=lambda error, _: print(error or "Kafka has it"),
)
producer.flush()
`}}var w=d();function T({source:e}){let{type:t,write_keys:r}=e.spec,i=t.includes(`rest`)?v(location.origin,e.id,r[0]):[],a=t.includes(`bridge`),o=i[0]?.id??`kafka`;return i.length===0&&!a?(0,w.jsx)(n,{c:`dimmed`,children:`This source takes no events over HTTP and none from queues: let it use the door “rest” or “bridge” in its settings.`}):(0,w.jsxs)(s,{defaultValue:o,keepMounted:!1,children:[(0,w.jsxs)(s.List,{children:[i.map(({id:e,label:t})=>(0,w.jsx)(s.Tab,{value:e,children:t},e)),a&&(0,w.jsx)(s.Tab,{value:`kafka`,children:`Kafka`})]}),i.map(e=>(0,w.jsx)(s.Panel,{value:e.id,pt:`sm`,children:(0,w.jsx)(D,{snippet:e})},e.id)),a&&(0,w.jsx)(s.Panel,{value:`kafka`,pt:`sm`,children:(0,w.jsx)(E,{source:e.id})}),t.includes(`rest`)&&r.length===0&&(0,w.jsx)(n,{size:`sm`,c:`dimmed`,mt:`xs`,children:`For Segment’s and PostHog’s clients, give the source a write key in its settings.`})]},e.id)}function E({source:e}){let[s,l]=(0,p.useState)(`localhost:9092`),[u,d]=(0,p.useState)(`events`);return(0,w.jsxs)(t,{gap:`sm`,children:[(0,w.jsxs)(o,{cols:{base:1,sm:2},children:[(0,w.jsx)(c,{label:`Your brokers`,value:s,onChange:e=>{l(e.currentTarget.value)}}),(0,w.jsx)(c,{label:`Topic`,value:u,onChange:e=>{d(e.currentTarget.value)}})]}),(0,w.jsxs)(n,{children:[`1. Let the hub read that topic:`,` `,(0,w.jsx)(i,{component:a,href:r(`/bridges/new`,{type:`kafka`,source:e,bootstrap:s,topics:u}),children:`connect it`}),`. 2. Send a message:`]}),(0,w.jsx)(D,{snippet:C(s,u)})]})}function D({snippet:r}){let i=`Snippet for ${r.label}`;return(0,w.jsxs)(t,{gap:`xs`,children:[(0,w.jsx)(n,{size:`sm`,c:`dimmed`,children:r.about}),(0,w.jsxs)(`div`,{style:{position:`relative`},children:[(0,w.jsx)(e,{pos:`absolute`,top:4,right:4,children:(0,w.jsx)(f,{value:r.code,label:`Copy the snippet for ${r.label}`})}),(0,w.jsx)(`pre`,{className:`hub-json`,tabIndex:0,role:`region`,"aria-label":i,style:{paddingRight:40,maxHeight:280},children:r.code})]})]})}export{T as t};