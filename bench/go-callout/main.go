// A minimal auth callout on jwt/v2, nkeys and nats.go: the comparator of `npm run bench:login`. It gives the answers that
// authcallout gives, from a table on stdin, and knows nothing of permissions.
package main

import (
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

type config struct {
	URL, CoreSeed, IssuerSeed, XkeySeed string
	// Token -> subjects that its sessions may subscribe to.
	Grants map[string][]string
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	var conf config
	if err := json.NewDecoder(os.Stdin).Decode(&conf); err != nil {
		log.Fatal(err)
	}
	issuer := must(nkeys.FromSeed([]byte(conf.IssuerSeed)))
	curve := must(nkeys.FromCurveSeed([]byte(conf.XkeySeed)))
	user := must(nkeys.FromSeed([]byte(conf.CoreSeed)))
	sign := func(nonce []byte) ([]byte, error) { return user.Sign(nonce) }
	nc := must(nats.Connect(conf.URL, nats.Nkey(must(user.PublicKey()), sign), nats.CustomInboxPrefix("_INBOX.authcallout")))

	answer := func(msg *nats.Msg) {
		server := msg.Header.Get("Nats-Server-Xkey")
		plain, err := curve.Open(msg.Data, server)
		if err != nil {
			return
		}
		request, err := jwt.DecodeAuthorizationRequestClaims(string(plain))
		if err != nil || request.Issuer != request.Server.ID {
			return
		}
		response := jwt.NewAuthorizationResponseClaims(request.UserNkey)
		response.Audience = request.Server.ID
		response.Expires = request.Expires
		if subjects, ok := conf.Grants[request.ConnectOptions.Password]; ok {
			claims := jwt.NewUserClaims(request.UserNkey)
			claims.Audience = "APP"
			claims.Name = "bench"
			claims.Expires = time.Now().Add(time.Hour).Unix()
			claims.Sub.Allow.Add(subjects...)
			claims.Sub.Deny.Add("arvados.> >")
			claims.Pub.Allow.Add("arvados.zzzzz.api.bench.x.whoami", "arvados.zzzzz.api.bench.x.tail")
			response.Jwt = must(claims.Encode(issuer))
		} else {
			response.Error = "token.unknown"
		}
		sealed, err := curve.Seal([]byte(must(response.Encode(issuer))), server)
		if err != nil {
			return
		}
		_ = msg.Respond(sealed)
	}
	must(nc.QueueSubscribe("$SYS.REQ.USER.AUTH", "callout", func(msg *nats.Msg) { go answer(msg) }))
	must(0, nc.Flush())
	println("ready")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}
