// Package lead owns enquiries: one lead is one enquiry of a contact, standing in
// a stage of a pipeline.
package lead

import (
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ID identifies a lead.
type ID = id.Of[Lead]

// StageID identifies a stage.
type StageID = id.Of[Stage]

// PipelineID identifies a pipeline.
type PipelineID = id.Of[Pipeline]

// ErrNotFound says that the tenant has no such lead.
var ErrNotFound = fault.New(fault.NotFound, "lead.not_found", "There is no such lead.")

// Status says whether an enquiry is still alive.
type Status string

// The statuses.
const (
	Open Status = "open"
	Won  Status = "won"
	Lost Status = "lost"
)

// Source says where an enquiry came from.
type Source string

// The sources.
const (
	SourceWhatsApp  Source = "whatsapp"
	SourceInstagram Source = "instagram"
	SourceFacebook  Source = "facebook"
	SourceWeb       Source = "web"
	SourceAds       Source = "ads"
	SourcePortal    Source = "portal"
	SourceImport    Source = "import"
	SourceManual    Source = "manual"
	SourceOther     Source = "other"
)

// Referral tells which advertisement or post brought the person.
type Referral struct {
	SourceType string `json:"source_type,omitempty" doc:"ad or post"`
	SourceID   string `json:"source_id,omitempty" doc:"The ad's or post's id at the provider"`
	SourceURL  string `json:"source_url,omitempty"`
	Headline   string `json:"headline,omitempty"`
	Body       string `json:"body,omitempty"`
	ClickID    string `json:"click_id,omitempty" doc:"For the provider's conversions API"`
	MediaURL   string `json:"media_url,omitempty"`
}

// Lead is one enquiry.
type Lead struct {
	bun.BaseModel `bun:"table:crm.leads,alias:l"`
	tenant.Row

	ID         ID         `bun:",pk" json:"id" format:"uuid"`
	ContactID  contact.ID `json:"contact_id" format:"uuid"`
	PipelineID PipelineID `json:"pipeline_id" format:"uuid"`
	StageID    StageID    `json:"stage_id" format:"uuid"`
	Status     Status     `json:"status" enum:"open,won,lost"`
	Source     Source     `json:"source"`
	Channel    string     `json:"channel,omitempty" doc:"The plugin through which it came; empty for none"`
	AssigneeID uuid.UUID  `bun:",nullzero" json:"assignee_id,omitzero" format:"uuid" doc:"The agent who works it"`
	Referral   *Referral  `bun:"type:jsonb" json:"referral,omitempty"`
	Version    int        `json:"version"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	ActivityAt time.Time  `json:"activity_at" doc:"When something last happened to it"`
	ClosedAt   time.Time  `bun:",nullzero" json:"closed_at,omitzero"`
}

// View is a lead with what one wants to see beside it.
type View struct {
	Lead     `bun:",extend"`
	Stage    string          `bun:"stage,scanonly" json:"stage" doc:"Key of the stage" example:"new"`
	Contact  contact.Contact `bun:"-" json:"contact"`
	ConvID   uuid.UUID       `bun:"conversation_id,scanonly" json:"conversation_id,omitzero" format:"uuid" doc:"The conversation it came from"`
	Pipeline string          `bun:"pipeline,scanonly" json:"pipeline" doc:"Key of the pipeline" example:"search"`
}

// Pipeline is a row of stages.
type Pipeline struct {
	bun.BaseModel `bun:"table:crm.pipelines,alias:p"`
	tenant.Row

	ID        PipelineID `bun:",pk"`
	Key       string
	Name      string
	IsDefault bool
	CreatedAt time.Time
}

// Stage is a step of a pipeline.
type Stage struct {
	bun.BaseModel `bun:"table:crm.stages,alias:g"`
	tenant.Row

	ID         StageID `bun:",pk"`
	PipelineID PipelineID
	Key        string
	Name       string
	Outcome    Status
	Position   int
	CreatedAt  time.Time
}
